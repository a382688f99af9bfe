"""How far work has come, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work has come.

    Args:
        task: What is being done, in the user's words.
        done: Units finished.
        total: Units in all.
    """

    task: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Take a progress report and show nothing."""
