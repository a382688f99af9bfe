"""Warnings of a job, kept for the process that asked for it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mixwise.errors import MixwiseWarning


@contextmanager
def keeping_warnings(texts: list[str]) -> Iterator[None]:
    """Keep our own warnings of a block; all others are shown here, as ever.

    Args:
        texts: Takes the warnings' texts.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", MixwiseWarning)
        show = warnings.showwarning

        def keep(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, MixwiseWarning):
                texts.append(str(message))
            else:
                show(message, category, *place, **more)

        warnings.showwarning = keep
        yield
