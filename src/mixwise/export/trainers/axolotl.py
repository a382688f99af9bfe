"""The mixture as Axolotl takes it.

Source:
    ``SFTDataset`` and ``_load_and_process_single_dataset`` of Axolotl 0.21: a shuffled
    ``int(weight × N)`` rows of a dataset, 0 < weight ≤ 1.

Method:
    Texts may stand beside conversations: all of a text is learned, whatever ``train_on_inputs``.
    A weight is rᵢ / Nᵢ, and a little more, as Axolotl drops fractions of a row. Texts
    (``completion``) are split at ``sequence_len``, up to 64 pieces; conversations beyond it are
    cut, where Axolotl's usual strategy drops them whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixwise.export.handover import HandedSource, Handover
from mixwise.export.trainers.datasets_library import BUILDERS, HUGGING_FACE_SUFFIXES
from mixwise.export.trainers.trainer import Reads, Rendered, Trainer, agreed_learning, base_keys
from mixwise.export.trainers.yaml_lines import as_yaml


def render(handover: Handover, file: Path) -> Rendered:
    """Datasets, and the keys that their meaning hangs on."""
    weights = {d.name: min(1.0, d.factor("cut")) for d in handover.domains}
    is_written = bool(handover.materialised)
    talks = [d for d in handover.domains if d.source.records != "text"]
    learned = agreed_learning(talks, "Axolotl", ("assistant", "all")) if talks else "all"
    datasets = [
        {**_dataset(d.source), **({} if is_written else {"weight": round(weights[d.name], 8)})}
        for d in handover.domains
    ]
    values = base_keys(handover, "base_model", "revision_of_model")
    values |= {"datasets": datasets, "shuffle_merged_datasets": not is_written}
    if talks:
        values["train_on_inputs"] = learned == "all"
    values |= {
        "sequence_len": handover.sequence_length,
        "excess_length_strategy": "truncate",
        "num_epochs": 1,
        "seed": handover.seed,
    }
    return Rendered(as_yaml(values), weights)


def _dataset(source: HandedSource) -> dict[str, Any]:
    return _place(source) | _rows(source.records, source.fields)


def _place(source: HandedSource) -> dict[str, Any]:
    if source.hub is None:
        assert source.format is not None  # files have one
        files = [str(path) for path in source.files]
        place = {"path": files[0]} if len(files) == 1 else {"path": str(source.file.parent)}
        more = {"data_files": files} if len(files) > 1 else {}
        return {**place, "ds_type": BUILDERS[source.format], **more}
    hub = source.hub
    given = {"name": hub.config, "split": hub.split, "revision": hub.revision}
    return {"path": hub.dataset, **{key: value for key, value in given.items() if value}}


def _rows(records: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    if records == "text":
        return {"type": "completion", "field": fields["text"]}
    if records == "sharegpt":
        return {
            "type": "chat_template",
            "field_messages": fields["conversations"],
            "message_property_mappings": {"role": "from", "content": "value"},
        }
    tools = {"field_tools": fields["tools"]} if fields.get("tools") else {}
    return {"type": "chat_template", "field_messages": fields["messages"], **tools}


AXOLOTL = Trainer(
    name="axolotl",
    title="Axolotl 0.21",
    file="axolotl.yaml",
    weight="`weight` is the fraction of a dataset's rows that is kept, at most 1.",
    use="Add these keys to a configuration of `axolotl train`; without streaming, where Axolotl "
    "ignores weights.",
    long_rows="cut",
    reads=Reads(
        ("text", "chat", "sharegpt"),
        HUGGING_FACE_SUFFIXES,
        renames=("text", "chat", "sharegpt"),
        many_files=False,
    ),
    render=render,
    most_epochs=1.0,
    layouts=("as it stands", "text", "messages"),
)
