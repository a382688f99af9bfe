"""Trackio: a run of a local project, in the study's group; ``trackio show`` opens the dashboard.

Where it keeps its database, and whether it has a Space, is Trackio's own, from its environment
variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixwise.tracking.run import TrackedRun


class TrackioRun:
    """A run: a `Told`.

    Args:
        run: Trackio's.
    """

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, series: str, values: Mapping[str, float], step: int) -> None:
        """See `Told`."""
        self._run.log({f"{series}/{name}": v for name, v in values.items()}, step=step)

    def note(self, texts: Mapping[str, str]) -> None:
        """See `Told`: Trackio keeps texts as values that have been logged."""
        self._run.log({f"note/{name}": text for name, text in texts.items()})

    def close(self, *, is_finished: bool) -> None:
        """See `Told`."""
        self._run.finish()


def open_trackio(run: TrackedRun) -> TrackioRun:
    """Begin a run, or go on with it."""
    import trackio

    opened = trackio.init(
        project=run.project,
        name=f"{run.name} ({run.folder_name.rpartition('-')[2]})" if run.key else run.name,
        group=f"{run.study}-{run.study_id}",
        config={**run.tags, **run.settings},
        resume="allow",
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    return TrackioRun(opened)
