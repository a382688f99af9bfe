"""Whether an expert's outputs stand for the labels that the base's do, in the same order.

Tensors of two classifiers fit each other whatever their outputs mean: a head whose labels stand in
another order would be averaged with the base's without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixwise.errors import CheckpointError, first_line, printable


def require_same_labels(expert: Path, labels: Sequence[str]) -> None:
    """Refuse an expert that names other labels, or the same in another order.

    Args:
        expert: Folder of a full expert.
        labels: Names of the base's outputs, in their order.

    Raises:
        CheckpointError: If its configuration cannot be read; or names the first other output.
    """
    named = read_names(expert)
    if len(named) != len(labels):
        raise CheckpointError(
            f"{expert}: an expert must have the base's {len(labels)} labels, but has "
            f"{len(named)}: use one that was trained on the same"
        )
    for index, name in enumerate(labels):
        if named[index] not in (name, f"LABEL_{index}"):  # the latter is transformers' for no name
            raise CheckpointError(
                f"{expert}: output {index} must be `{printable(name, 80)}`, as the base's is, but "
                f"config.json says `{printable(str(named[index]), 80)}`: use an expert whose "
                "labels stand in the base's order"
            )


def read_names(folder: Path) -> tuple[str, ...]:
    """Names of a classifier's outputs, in their order.

    Raises:
        CheckpointError: If its configuration cannot be read.
    """
    from transformers import AutoConfig

    try:
        named: dict[int, Any] = AutoConfig.from_pretrained(folder, local_files_only=True).id2label
    except Exception as error:  # whatever the architecture's own code raises
        raise CheckpointError(
            f"{folder}: config.json cannot be used ({first_line(error)}): give a folder that "
            "transformers can open"
        ) from None
    return tuple(str(named[index]) for index in sorted(named))
