"""Progress on stderr: bars with a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mixwise.console.lines import EVERY_SECONDS, ProgressLines
from mixwise.console.text import print_line, visible
from mixwise.progress import Progress as Report
from mixwise.progress import Stage

_PATIENCE_SECONDS = 2.0


class ProgressBars:
    """Bars with the time left for whatever lasts over two seconds.

    Args:
        console: Where the terminal is.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}
        self._since: dict[str, float] = {}

    def show(self, report: Report, heading: str) -> None:
        """Show how far a task has come."""
        now = time.monotonic()
        started = self._since.setdefault(report.task, now)
        if report.is_done:
            self._finish(report)
        elif now - started > _PATIENCE_SECONDS:
            self._update(report, heading)

    def write(self, line: str) -> None:
        """Write a line above the bars."""
        if self._bars is None:
            print_line(line)
        else:
            self._console.print(visible(line), highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take all bars away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        self._tasks.clear()

    def _update(self, report: Report, heading: str) -> None:
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=self._console,
                transient=True,
            )
            self._bars.start()
        total = report.total or None
        if report.task not in self._tasks:
            text = visible(heading + report.task)
            self._tasks[report.task] = self._bars.add_task(text, total=total, note="")
        note = visible(report.note)
        self._bars.update(self._tasks[report.task], completed=report.done, total=total, note=note)

    def _finish(self, report: Report) -> None:
        self._since.pop(report.task, None)
        task = self._tasks.pop(report.task, None)
        if task is not None and self._bars is not None:
            self._bars.remove_task(task)
            if not self._tasks:
                self.close()


class Display:
    """What a command shows of its progress; call it with a report.

    Args:
        lines: Says it in lines.
        bars: Shows it as bars where there is a terminal; else None.
    """

    def __init__(self, lines: ProgressLines, bars: ProgressBars | None) -> None:
        self.lines = lines
        self._bars = bars

    def __call__(self, report: Report) -> None:
        """Show how far a task has come."""
        if self._bars is None:
            self.lines(report)
        else:
            self._bars.show(report, self.lines.heading)

    def begin(self, name: str) -> None:
        """Say that a command has begun its work; with a terminal its bars say so."""
        if self._bars is None:
            self.lines.stage(Stage(name))

    def stage(self, stage: Stage) -> None:
        """Say that a stage begins, or that it has ended and with what."""
        if self._bars is not None:
            self._bars.close()
        self.lines.stage(stage)


@contextmanager
def progress(name: str) -> Iterator[Display]:
    """Show progress on stderr for as long as the block lasts; bars are gone when it ends.

    Args:
        name: What is said to go on, until a stage begins.
    """
    shown = Console(stderr=True)
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    bars = ProgressBars(shown) if is_terminal or shown.is_jupyter else None
    lines = ProgressLines(bars.write if bars else print_line)
    lines.watch(name)
    stop = threading.Event()
    if bars is None:
        threading.Thread(target=_beat, args=(lines, stop), daemon=True).start()
    try:
        yield Display(lines, bars)
        if bars is not None:
            bars.close()
        lines.finish()
    finally:
        stop.set()
        if bars is not None:
            bars.close()


def _beat(lines: ProgressLines, stop: threading.Event) -> None:
    """Let a step that tells nothing be seen to go on."""
    while not stop.wait(EVERY_SECONDS):
        lines.beat()
