"""Weights & Biases: a run of a project, in the study's group, by the job type of its kind.

The account, the entity and the mode are W&B's own, from its login and its environment variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixwise.tracking.run import TrackedRun

_PATIENCE_SECONDS = 30.0
_MOST_CHARACTERS = 64  # of a tag, by W&B's rule


class WandbRun:
    """A run: a `Told`.

    Args:
        run: W&B's.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        self._series: set[str] = set()

    def log(self, series: str, values: Mapping[str, float], step: int) -> None:
        """See `Told`; every series has steps of its own, which W&B's one counter has not."""
        place = f"{series}/global_step"
        if series not in self._series:
            self._run.define_metric(f"{series}/*", step_metric=place)
            self._series.add(series)
        self._run.log({**{f"{series}/{name}": v for name, v in values.items()}, place: step})

    def note(self, texts: Mapping[str, str]) -> None:
        """See `Told`."""
        self._run.summary.update(dict(texts))

    def close(self, *, is_finished: bool) -> None:
        """See `Told`."""
        self._run.finish(exit_code=0 if is_finished else 1)


def open_wandb(run: TrackedRun) -> WandbRun:
    """Begin a run, or go on with it."""
    import wandb

    run.folder.mkdir(parents=True, exist_ok=True)
    tags = [run.study, run.kind, *([run.domain] if run.domain else [])]
    opened = wandb.init(
        project=run.project,
        id=run.id,
        name=run.name,
        group=f"{run.study}-{run.study_id}",
        job_type=run.kind,
        tags=[tag[:_MOST_CHARACTERS] for tag in dict.fromkeys(tags)],
        config={**run.tags, **run.settings},
        dir=str(run.folder),
        resume="allow",
        reinit="create_new",
        settings=wandb.Settings(silent=True, console="off", init_timeout=_PATIENCE_SECONDS),
    )
    return WandbRun(opened)
