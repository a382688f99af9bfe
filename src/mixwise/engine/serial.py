"""Run jobs one after the other in this very process: an engine for a machine with one seat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from mixwise.engine.protocol import Finished, Job, OnStep, Result
from mixwise.engine.worker_cache import release_resident


class HereEngine:
    """No workers: an `Engine` that needs no second process, and no second model in memory."""

    @property
    def n_workers(self) -> int:
        """Jobs that run at once: one."""
        return 1

    def run(
        self,
        function: Callable[[Job, OnStep], Result],
        jobs: Sequence[Job],
        on_step: Callable[[int, int], None],
    ) -> Iterator[Finished[Result]]:
        """Run a function over jobs, in their order; see `Engine.run`."""
        for index, job in enumerate(jobs):
            yield Finished(index, function(job, partial(on_step, index)))

    def close(self) -> None:
        """Give up what the jobs have kept."""
        release_resident()
