"""The queue that work is given to: what every engine offers, whether on this machine or on many.

Jobs of one call run as workers become free; there are no rounds to wait for. An engine for a
cluster implements the same protocol; nothing else of mixwise knows where its work runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
OnStep = Callable[[int], None]


class Stopped(Exception):  # noqa: N818 - it is no error
    """Raised inside a job, by its callback of steps, after the engine was told to stop."""


@dataclass(frozen=True, slots=True)
class Finished(Generic[Result]):
    """A job that is done: its index among the jobs, and its result."""

    index: int
    result: Result


class Engine(Protocol):
    """Anything that can run jobs."""

    @property
    def n_workers(self) -> int:
        """Jobs that run at once."""
        ...

    def run(
        self,
        function: Callable[[Job, OnStep], Result],
        jobs: Sequence[Job],
        on_step: Callable[[int, int], None],
    ) -> Iterator[Finished[Result]]:
        """Run a function over jobs and yield each as it finishes.

        Args:
            function: A module-level function of a job and a callback that takes finished steps.
            jobs: Values that can be pickled.
            on_step: Called in this process with (index of the job, its finished steps).

        Yields:
            Finished jobs, in the order in which they finish.

        Raises:
            ResourceError: If a worker was killed, as for lack of memory.
            Exception: What a job raised; jobs that run are stopped at their next step.
        """
        ...

    def close(self) -> None:
        """Stop the workers; jobs that have not begun are dropped."""
        ...
