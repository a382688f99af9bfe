"""The head of a classifier: the module that transformers makes anew for each set of labels."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mixwise.errors import CheckpointError

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
