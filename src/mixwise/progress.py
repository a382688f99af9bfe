"""How far work has come, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_SOON_SECONDS = 5.0  # a rate that was measured for less is no rate


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work has come.

    Args:
        task: What is being done, in the user's words.
        done: Units finished.
        total: Units in all; 0 where nobody knows yet.
        unit: What is counted, in the plural.
        note: What else is worth a word, such as the best score so far.
        is_ceiling: Whether the work may end with fewer units.
    """

    task: str
    done: int
    total: int
    unit: str = ""
    note: str = ""
    is_ceiling: bool = False

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left of it."""
        return 0 < self.total <= self.done


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a job that begins, or one that has ended.

    Args:
        name: Its name.
        number: Its place among the stages of the job, from 1.
        n_stages: Stages of the job.
        outcome: What came out; None while it begins.
    """

    name: str
    number: int = 1
    n_stages: int = 1
    outcome: str | None = None


class Pace:
    """A piece of work as it was first and last told, and how fast it goes.

    Args:
        first: The first report of it.
        began: When that came, in seconds of some clock.
    """

    def __init__(self, first: Progress, began: float) -> None:
        self.last = first
        self._first = first
        self._began = began

    def seconds_left(self, now: float) -> float | None:
        """What is left at the speed so far; None while that is not known.

        Args:
            now: By the same clock.
        """
        done, took = self.last.done - self._first.done, now - self._began
        if not self.last.total or done <= 0 or took < _SOON_SECONDS:
            return None
        return (self.last.total - self.last.done) * took / done


OnProgress = Callable[[Progress], None]
OnStage = Callable[[Stage], None]


def silent(progress: Progress) -> None:
    """Take a progress report and show nothing."""


def silent_stage(stage: Stage) -> None:
    """Take the word of a stage and show nothing."""
