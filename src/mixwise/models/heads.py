"""The head of a classifier: the module that transformers makes anew for each set of labels."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from mixwise.errors import CheckpointError
from mixwise.models.loading import build_module

HEADS = ("classifier", "score")  # as PEFT names them for sequence classification


def is_of_head(name: str, heads: Collection[str] = HEADS) -> bool:
    """Whether a tensor or module belongs to a head.

    Args:
        name: Its name in a model of transformers.
        heads: Names of heads, looked for at the ends of module names as PEFT does, so that
            DistilBERT's `pre_classifier` is one too.

    Example:
        >>> is_of_head("pre_classifier.weight"), is_of_head("bert.pooler.dense.weight")
        (True, False)
    """
    parts = name.split(".")
    return any(
        ".".join(parts[:n]).endswith(head) for n in range(1, len(parts) + 1) for head in heads
    )


def require_head(module: Any) -> None:
    """Refuse a classifier whose head has none of the usual names.

    Args:
        module: A model of transformers.

    Raises:
        CheckpointError: If it has none.
    """
    if any(hasattr(module, name) for name in HEADS):
        return
    raise CheckpointError(
        f"{type(module).__name__}: the head of a classifier must be its module `classifier` or "
        "`score`, which is trained in full beside adapters, but it has neither: set "
        "`training.method: full`"
    )


def find_label_tensors(
    folder: Path, *, trust_remote_code: bool = False, auto_class: str
) -> tuple[str, ...]:
    """Names of the tensors of a classifier that have a row for each label.

    They are asked of the architecture: whatever has a row more where there is a label more.

    Args:
        folder: The classifier's.
        trust_remote_code: Whether code from the folder may run.
        auto_class: Class of transformers that opens it.

    Raises:
        CheckpointError: If there are none, or one changes with the labels in another way.
    """
    shapes = []
    for more in (0, 1):
        module = build_module(
            folder,
            dtype=torch.float32,
            trust_remote_code=trust_remote_code,
            auto_class=auto_class,
            more_labels=more,
        )
        shapes.append({name: tuple(t.shape) for name, t in module.state_dict().items()})
    plain, wider = shapes
    found = tuple(name for name, shape in plain.items() if wider.get(name) != shape)
    for name in found:
        n_rows, *others = plain[name] or (0,)
        if wider.get(name) != (n_rows + 1, *others):
            raise CheckpointError(
                f"{folder}: heads of domains are rows of the tensors that labels are read from, "
                f"but `{name}`, of shape {plain[name]}, becomes {wider.get(name)} with a label "
                "more: set `labels: shared`, or use a base whose head is a linear layer"
            )
    if not found:
        raise CheckpointError(
            f"{folder}: heads of domains are rows of the tensors that labels are read from, but no "
            "tensor changes with the number of labels: use a base whose head is a linear layer"
        )
    return found
