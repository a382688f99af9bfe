"""The mixture as the new generation of LLaMA-Factory takes it (v1).

Source:
    ``DataEngine`` and ``adjust_data_index`` of LLaMA-Factory 0.9.5's ``v1``: ``int(weight × N)``
    rows of a dataset, drawn with replacement.

Departures:
    Its converter of Alpaca rows joins instruction and input without a line end, so that the model
    would read other texts than the study measured: such rows are written as conversations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixwise.export.handover import HandedSource, Handover
from mixwise.export.trainers.datasets_library import PLAIN_SUFFIXES
from mixwise.export.trainers.trainer import Reads, Rendered, Trainer, agreed_learning
from mixwise.export.trainers.yaml_lines import as_yaml


def render(handover: Handover, file: Path) -> Rendered:
    """The description of the datasets, which `train_dataset` names."""
    agreed_learning(handover.domains, "LLaMA-Factory v1", ("assistant",))
    weights = {d.name: d.factor("cut") for d in handover.domains}
    is_written = bool(handover.materialised)
    values = {
        d.name: _dataset(d.source) | ({} if is_written else {"weight": round(weights[d.name], 8)})
        for d in handover.domains
    }
    return Rendered(as_yaml(values), weights)


def _dataset(source: HandedSource) -> dict[str, Any]:
    if source.hub is None:
        place = {"source": "local", "path": str(source.file)}
    else:
        place = {"path": source.hub.dataset, "split": source.hub.split}
    return {**place, "converter": "sharegpt"}


LLAMAFACTORY_V1 = Trainer(
    name="llamafactory-v1",
    title="LLaMA-Factory 0.9.5 (v1)",
    file="llamafactory-v1.yaml",
    weight="`weight` multiplies a dataset's rows; that many are drawn with replacement, so that "
    "some rows come twice and others never (`--materialise` reads each in turn).",
    use="Name this file as `train_dataset` of a v1 configuration, with `cutoff_len` "
    "the study's sequence length.",
    long_rows="cut",
    reads=Reads(("sharegpt",), PLAIN_SUFFIXES, many_files=False, hub=("split",)),
    render=render,
    layouts=("as it stands", "sharegpt"),
)
