"""Bars on stderr for whatever lasts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from mixwise.progress import Progress as Report

_PATIENCE_SECONDS = 2.0


class ProgressBars:
    """Bars with the time left for whatever lasts over two seconds."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}
        self._since: dict[str, float] = {}

    def __call__(self, report: Report) -> None:
        """Show how far a task has come."""
        now = time.monotonic()
        started = self._since.setdefault(report.task, now)
        if report.done >= report.total:
            self._finish(report)
        elif now - started > _PATIENCE_SECONDS:
            self._show(report)

    def close(self) -> None:
        """Take all bars away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        self._tasks.clear()

    def _show(self, report: Report) -> None:
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bars.start()
        if report.task not in self._tasks:
            self._tasks[report.task] = self._bars.add_task(report.task, total=report.total)
        self._bars.update(self._tasks[report.task], completed=report.done, total=report.total)

    def _finish(self, report: Report) -> None:
        self._since.pop(report.task, None)
        task = self._tasks.pop(report.task, None)
        if task is not None and self._bars is not None:
            self._bars.remove_task(task)
            if not self._tasks:
                self.close()


@contextmanager
def progress_bars() -> Iterator[ProgressBars]:
    """Bars that are gone when the block ends, however it ends."""
    bars = ProgressBars()
    try:
        yield bars
    finally:
        bars.close()
