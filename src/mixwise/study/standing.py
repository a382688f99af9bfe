"""What goes on in a study right now, told by the process that works in it to whoever asks.

Method:
    The process writes ``.progress.json`` into the study's folder, every two seconds at most, and
    takes it away when it ends. One that a killed process left counts for nothing, as nobody holds
    the study then. It is for people alone: no result depends on it, so that a disk which is full
    or gone for a moment stops no work.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mixwise.errors import ResourceError
from mixwise.files import replace_file
from mixwise.progress import OnProgress, OnStage, Pace, Progress, Stage

STANDING_FILE = ".progress.json"
_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work that goes on.

    Args:
        task: What is being done.
        done: Units finished.
        total: Units in all; 0 where nobody knows yet.
        unit: What is counted.
        note: What was found, such as the best score so far.
        is_ceiling: Whether it may end with fewer units.
        seconds_left: At the speed so far; None while that is not known.
    """

    task: str
    done: int
    total: int
    unit: str
    note: str
    is_ceiling: bool
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What goes on.

    Args:
        stage: Name of the stage; empty before one has begun.
        number: Its place among the stages of the job, from 1.
        n_stages: Stages of the job.
        work: What goes on in it.
    """

    stage: str
    number: int
    n_stages: int
    work: tuple[Work, ...]


_CODEC = TypeAdapter(Standing)


class StandingWriter:
    """Writes what goes on in a study, beside telling those who were told before.

    Args:
        folder: The study; the file is written once the folder is there.
        on_progress: Told of progress too.
        on_stage: Told of stages too.
        clock: Seconds.
    """

    def __init__(
        self,
        folder: Path,
        on_progress: OnProgress,
        on_stage: OnStage,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = folder / STANDING_FILE
        self._on_progress = on_progress
        self._on_stage = on_stage
        self._clock = clock
        self._lock = threading.Lock()
        self._stage = Stage("", 1, 1)
        self._paces: dict[str, Pace] = {}
        self._written: float | None = None

    def take(self, report: Progress) -> None:
        """Take a report of progress."""
        self._on_progress(report)
        with self._lock:
            now = self._clock()
            self._paces.setdefault(report.task, Pace(report, now)).last = report
            if report.is_done:
                self._paces.pop(report.task)
            if self._written is None or now - self._written >= _EVERY_SECONDS:
                self._write(now)

    def take_stage(self, stage: Stage) -> None:
        """Take the word of a stage."""
        self._on_stage(stage)
        with self._lock:
            self._stage = stage
            self._paces.clear()
            self._write(self._clock())

    def close(self) -> None:
        """Take the file away, where there is one of ours: whoever was refused has written none."""
        if self._written is None:
            return
        with contextlib.suppress(OSError):  # see the head of this file
            self._path.unlink(missing_ok=True)

    def _write(self, now: float) -> None:
        self._written = now
        stage = self._stage
        work = tuple(
            Work(
                pace.last.task,
                pace.last.done,
                pace.last.total,
                pace.last.unit,
                pace.last.note,
                pace.last.is_ceiling,
                pace.seconds_left(now),
            )
            for pace in self._paces.values()
        )
        content = _CODEC.dump_json(Standing(stage.name, stage.number, stage.n_stages, work))
        with contextlib.suppress(ResourceError):  # see the head of this file
            replace_file(self._path, content)


def read_standing(folder: Path) -> Standing | None:
    """What the process that works in a study last told; None where it told nothing.

    Args:
        folder: The study.
    """
    try:
        return _CODEC.validate_json((folder / STANDING_FILE).read_bytes())
    except (OSError, ValidationError):
        return None  # none is there, or another version's
