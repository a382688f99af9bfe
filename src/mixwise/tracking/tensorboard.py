"""TensorBoard: event files, a folder a run, below the study's own folder.

A run that goes on writes one more file beside the first, which TensorBoard reads as one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from mixwise.tracking.run import TrackedRun


class TensorBoardRun:
    """A run as a folder of event files: a `Told`.

    Args:
        writer: Torch's writer of event files.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, series: str, values: Mapping[str, float], step: int) -> None:
        """See `Told`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{series}/{name}", value, step)
        self._writer.flush()

    def note(self, texts: Mapping[str, str]) -> None:
        """See `Told`: the step of a text is the second at which it was said; the last counts."""
        for name, text in texts.items():
            self._writer.add_text(name, text, int(time.time()))
        self._writer.flush()

    def close(self, *, is_finished: bool) -> None:
        """See `Told`."""
        self._writer.close()


def open_tensorboard(run: TrackedRun) -> TensorBoardRun:
    """Begin a run, or go on with it."""
    from torch.utils.tensorboard import SummaryWriter

    folder = run.folder / "tensorboard" / run.folder_name
    is_new = not folder.is_dir()
    told = TensorBoardRun(SummaryWriter(str(folder)))
    if is_new:
        told.note({**run.tags, **{name: str(value) for name, value in run.settings.items()}})
    return told
