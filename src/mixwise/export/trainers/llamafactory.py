"""The mixture as LLaMA-Factory takes it, in its usual format (v0).

Source:
    ``DatasetAttr`` and ``_load_single_dataset`` of LLaMA-Factory 0.9.5: ``num_samples`` rows of a
    dataset, shuffled; beyond its size drawn with replacement. Texts (``stage: pt``) are packed,
    conversations cut at ``cutoff_len``. Datasets are described in a
    ``dataset_info.json``, in a folder of its own here, so that none of the user's is overwritten.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mixwise.export.handover import HandedSource, Handover
from mixwise.export.trainers.datasets_library import PLAIN_SUFFIXES
from mixwise.export.trainers.trainer import Reads, Rendered, Trainer, agreed_learning, base_keys
from mixwise.export.trainers.yaml_lines import as_yaml

_INFO = "dataset_info.json"
_LEARNED: dict[str, dict[str, Any]] = {
    "assistant": {},
    "completion": {"mask_history": True},
    "all": {"train_on_prompt": True},
}


def render(handover: Handover, file: Path) -> Rendered:
    """The configuration, and the description of its datasets."""
    counts = handover.row_counts("cut")
    is_written = bool(handover.materialised)
    is_text = all(domain.source.records == "text" for domain in handover.domains)
    folder = file.with_name(f"{file.stem}-data")
    info = {
        domain.name: _dataset(domain.source)
        | ({} if is_written else {"num_samples": counts[domain.name]})
        for domain in handover.domains
    }
    values = base_keys(handover, "model_name_or_path", "model_revision")
    values |= {
        "stage": "pt" if is_text else "sft",
        "dataset_dir": str(folder),
        "dataset": ",".join(info),
        "mix_strategy": "concat",
        **({} if is_text else _learning(handover)),
        "cutoff_len": handover.sequence_length,
        "num_train_epochs": 1,
        "seed": handover.seed,
    }
    text = json.dumps(info, indent=1, ensure_ascii=False) + "\n"
    weights = {name: float(count) for name, count in counts.items()}
    return Rendered(as_yaml(values), weights, {folder / _INFO: text})


def _learning(handover: Handover) -> dict[str, Any]:
    learned = agreed_learning(handover.domains, "LLaMA-Factory", tuple(_LEARNED))
    pairs = all(d.source.records in ("prompt-completion", "alpaca") for d in handover.domains)
    return {} if pairs and learned == "completion" else _LEARNED[learned]


def _dataset(source: HandedSource) -> dict[str, Any]:
    if source.hub is None:
        place: dict[str, Any] = {"file_name": str(source.file)}
    else:
        config = {"subset": source.hub.config} if source.hub.config else {}
        place = {"hf_hub_url": source.hub.dataset, **config, "split": source.hub.split}
    return place | _rows(source)


def _rows(source: HandedSource) -> dict[str, Any]:
    fields = {part: name for part, name in source.fields.items() if name}
    if source.records == "text":
        return {"columns": {"prompt": fields["text"]}}
    if source.records == "prompt-completion":
        columns = {"prompt": fields["prompt"], "response": fields["completion"]}
        return {"formatting": "alpaca", "columns": columns}
    if source.records == "alpaca":
        columns = {"prompt": fields["instruction"], "response": fields["output"]}
        columns |= {"query": fields["input"]} if "input" in fields else {}
        columns |= {"system": fields["system"]} if "system" in fields else {}
        return {"formatting": "alpaca", "columns": columns}
    turns = fields["messages" if source.records == "chat" else "conversations"]
    columns = {"messages": turns} | ({"tools": fields["tools"]} if "tools" in fields else {})
    columns |= {"system": fields["system"]} if "system" in fields else {}
    if source.records == "sharegpt":
        return {"formatting": "sharegpt", "columns": columns}
    return {"formatting": "openai", "columns": columns, "tags": _OPENAI}


_OPENAI = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function_call",
    "system_tag": "system",
}

LLAMAFACTORY = Trainer(
    name="llamafactory",
    title="LLaMA-Factory 0.9.5",
    file="llamafactory.yaml",
    weight="`num_samples` is a count of rows; above a dataset's size the rest is drawn with "
    "replacement, below it without.",
    use="Add these keys to a configuration of `llamafactory-cli train`; not with streaming, where "
    "`num_samples` is ignored.",
    long_rows="cut",
    reads=Reads(
        ("text", "prompt-completion", "chat", "sharegpt", "alpaca"),
        PLAIN_SUFFIXES,
        renames=("text", "prompt-completion", "chat", "sharegpt", "alpaca"),
        many_files=False,
        hub=("config", "split"),
        texts_apart=True,
    ),
    render=render,
)
