"""The one large thing that a worker keeps between its jobs, such as a model with its experts.

A worker that evaluates many candidates builds its model once; before the worker does something else
that needs the memory, as training, it gives the model up.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Kept = TypeVar("Kept")


@dataclass(slots=True)
class _Place:
    key: str = ""
    kept: Any = None


_place = _Place()  # of this process


def resident(key: str, build: Callable[[], Kept]) -> Kept:
    """Get what this process keeps under a key; anything else is given up and this is built.

    Args:
        key: Hash of all that the thing depends on.
        build: Makes it.
    """
    if _place.key != key:
        release_resident()
        _place.kept = build()
        _place.key = key
    kept: Kept = _place.kept
    return kept


def keeps_something() -> bool:
    """Whether this process keeps anything between its jobs."""
    return _place.kept is not None


def release_resident() -> None:
    """Give up what this process keeps, and the memory of a GPU that it took."""
    _place.key, _place.kept = "", None
    give_memory_back()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def give_memory_back() -> None:
    """Give freed memory to the system, which a C library's allocator keeps for the next time.

    Where that is glibc: others do it by themselves.
    """
    gc.collect()  # models stand in cycles
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
