"""The mixture as `trl sft` takes it.

Source:
    ``get_dataset`` of TRL 1.16 (``trl/scripts/utils.py``): the first ``round(fraction × N)`` rows
    of each dataset, N as large as no dataset needs more rows than it has.

Method:
    A fraction is rᵢ / Σ r. N may be more rows than the run reads, which ``max_steps`` ends. Packing
    is ``wrapped``, which cuts rows as the study did; TRL's usual one drops the end of long rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixwise.export.handover import HandedSource, Handover
from mixwise.export.trainers.datasets_library import BUILDERS, HUGGING_FACE_SUFFIXES
from mixwise.export.trainers.trainer import Reads, Rendered, Trainer, agreed_learning, base_keys
from mixwise.export.trainers.yaml_lines import as_yaml

_COLUMNS = {
    "text": ("text",),
    "prompt-completion": ("prompt", "completion"),
    "chat": ("messages", "tools"),
    "sharegpt": ("conversations",),
}

_MARKS = (
    "`assistant_only_loss` needs a chat template that marks answers by `{% generation %}`; TRL has "
    "such templates for some families of models, and refuses others."
)


def render(handover: Handover, file: Path) -> Rendered:
    """Datasets, and the keys that their meaning hangs on."""
    shares = handover.row_shares("whole")
    is_one = len(handover.domains) == 1
    datasets = [
        _dataset(domain.source) | ({} if is_one else {"fraction": round(shares[domain.name], 8)})
        for domain in handover.domains
    ]
    values = base_keys(handover, "model_name_or_path", "model_revision")
    values |= {"datasets": datasets, **_learning(handover)}
    values |= {
        "packing": True,
        "packing_strategy": "wrapped",
        "max_length": handover.sequence_length,
        "max_steps": handover.n_steps,
        "seed": handover.seed,
    }
    notes = (_MARKS,) if values.get("assistant_only_loss") else ()
    return Rendered(as_yaml(values), shares, notes=notes)


def _dataset(source: HandedSource) -> dict[str, Any]:
    names = [source.fields.get(part) for part in _COLUMNS[source.records]]
    columns = {"columns": [name for name in names if name]}
    if source.hub is not None:
        config = {"name": source.hub.config} if source.hub.config else {}
        return {"path": source.hub.dataset, **config, "split": source.hub.split, **columns}
    assert source.format is not None  # files have one
    return {
        "path": BUILDERS[source.format],
        "data_files": [str(path) for path in source.files],
        **columns,
    }


def _learning(handover: Handover) -> dict[str, Any]:
    source = handover.domains[0].source
    if source.records == "text":
        field = source.fields["text"]
        return {} if field == "text" else {"dataset_text_field": field}
    if source.records == "prompt-completion":
        learned = agreed_learning(handover.domains, "TRL", ("completion", "all"))
        return {"completion_only_loss": learned == "completion"}
    learned = agreed_learning(handover.domains, "TRL", ("assistant", "all"))
    return {"assistant_only_loss": learned == "assistant"}


TRL = Trainer(
    name="trl",
    title="TRL 1.16",
    file="trl.yaml",
    weight="`fraction` is a share of rows, of as many rows as no dataset has to repeat; the first "
    "ones of each are taken, so shuffle files that are sorted.",
    use="Add these keys to a configuration of `trl sft --config`; batches of "
    "per_device_train_batch_size x gradient_accumulation_steps x devices are the study's.",
    long_rows="whole",
    reads=Reads(
        ("text", "prompt-completion", "chat", "sharegpt"),
        HUGGING_FACE_SUFFIXES,
        renames=("text",),
        hub=("config", "split"),
        one_layout=True,
    ),
    render=render,
    most_epochs=1.0,
)
