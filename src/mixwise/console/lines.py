"""Plain lines on stderr for whoever has no terminal: a job's log on a cluster, `nohup`, a pipe.

Method:
    A line when a stage begins, one when it ends with what came out and how long it took, and
    between them one every half minute, whether or not the work has anything new to tell: a log that
    stands still means that the process does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mixwise.progress import Pace, Progress, Stage

EVERY_SECONDS = 30.0


class ProgressLines:
    """Says in lines what is being done, how far it is, and how long it will take.

    Args:
        write: Takes a line without its end.
        clock: Seconds since 1970.
    """

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._write = write
        self._clock = clock
        self._lock = threading.RLock()  # a timer's thread asks for lines too
        self._began = self._last = clock()
        self._stage: Stage | None = None
        self._stage_began = self._began
        self._tasks: dict[str, Pace] = {}
        self._planned_seconds: float | None = None
        self._has_spoken = False

    def plan(self, seconds: float, what: str) -> None:
        """Say how long the whole job should take."""
        with self._lock:
            self._planned_seconds = seconds
            self._say(f"{what}; estimated time about {duration(seconds)}, if nothing is done yet")

    def stage(self, stage: Stage) -> None:
        """Say that a stage begins, or that it has ended and with what."""
        with self._lock:
            if stage.outcome is None:
                self._stage, self._stage_began = stage, self._clock()
                self._say(f"{self.heading}begins")
                return
            took = duration(self._clock() - self._stage_began)
            self._say(f"{self.heading}done in {took}: {stage.outcome}{self._against_plan()}")
            self._stage = None
            self._tasks.clear()

    def watch(self, name: str) -> None:
        """Begin a stage that is worth a line only when it lasts."""
        with self._lock:
            self._stage, self._stage_began = Stage(name), self._clock()

    def __call__(self, report: Progress) -> None:
        """Take a report, and say it if the last line is half a minute old."""
        with self._lock:
            task = self._tasks.setdefault(report.task, Pace(report, self._clock()))
            task.last = report
            self.beat()
            if report.is_done:
                self._tasks.pop(report.task)

    def beat(self) -> None:
        """Say how it stands if the last line is half a minute old."""
        with self._lock:
            if self._clock() - self._last >= EVERY_SECONDS:
                self._say(self.heading + self._standing())

    def finish(self) -> None:
        """Say how long all of it took, where anything was said at all."""
        with self._lock:
            if self._has_spoken:
                took = duration(self._clock() - self._began)
                planned = self._planned_seconds
                estimate = f" (estimated: {duration(planned)})" if planned is not None else ""
                self._say(f"finished in {took}{estimate}")

    @property
    def heading(self) -> str:
        """Where in the job we are: ``stage 2 of 6: search: ``."""
        stage = self._stage
        if stage is None:
            return ""
        place = f"stage {stage.number} of {stage.n_stages}: " if stage.n_stages > 1 else ""
        return f"{place}{stage.name}: "

    def describe(self, report: Progress) -> str:
        """One piece of work in words: ``3 of at most 12 candidates, best so far 1.234``."""
        most = "at most " if report.is_ceiling else ""
        counted = f"{report.done} of {most}{report.total}" if report.total else f"{report.done}"
        is_stage = self._stage is not None and self._stage.name == report.task
        words = f"{'' if is_stage else report.task + ': '}{counted} {report.unit}".rstrip()
        return f"{words}, {report.note}" if report.note else words

    def _standing(self) -> str:
        """Every piece of work that goes on, with the time left of the first that has one."""
        parts = [self.describe(task.last) for task in self._tasks.values()]
        left = (task.seconds_left(self._clock()) for task in self._tasks.values())
        known = next((seconds for seconds in left if seconds is not None), None)
        time_left = f", about {duration(known)} left" if known is not None else ""
        going_on = f"{duration(self._clock() - self._stage_began)} so far"
        return "; ".join([*parts, going_on]) + time_left

    def _against_plan(self) -> str:
        if self._planned_seconds is None:
            return ""
        seconds = self._clock() - self._began
        gone, planned = duration(seconds), duration(self._planned_seconds)
        if seconds > self._planned_seconds:
            return f"; {gone} gone, more than the estimated {planned}"
        return f"; {gone} of about {planned} gone"

    def _say(self, text: str) -> None:
        now = self._clock()
        self._last = now
        self._has_spoken = True
        self._write(f"{time.strftime('%H:%M:%S', time.localtime(now))} {text}")


def duration(seconds: float) -> str:
    """A time in words.

    Example:
        >>> duration(42.4), duration(271), duration(3 * 3600 + 125)
        ('42 s', '4 min 31 s', '3 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
