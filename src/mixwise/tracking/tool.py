"""What every tracking tool offers, and how one is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mixwise.tracking.run import TrackedRun


class Told(Protocol):
    """A run in one tool; every method may raise whatever the tool does."""

    def log(self, series: str, values: Mapping[str, float], step: int) -> None:
        """Add a point to several curves.

        Args:
            series: First part of the curves' names: steps rise within one.
            values: By name.
            step: Where.
        """
        ...

    def note(self, texts: Mapping[str, str]) -> None:
        """Say what holds for the run as a whole; what was said before of a name is replaced."""
        ...

    def close(self, *, is_finished: bool) -> None:
        """Let go of the run, whether it has reached its end or will go on later."""
        ...


@dataclass(frozen=True, slots=True)
class Tool:
    """A row of the table of tools.

    Args:
        name: In recipes, and of the extra that installs it.
        package: What must be importable.
        open: Begins a run; goes on with it where it is known by its id already.
    """

    name: str
    package: str
    open: Callable[[TrackedRun], Told]
