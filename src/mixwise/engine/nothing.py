"""An engine that does no work: for whoever only reads what has been measured already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mixwise.engine.protocol import Finished, Job, OnStep, Result
from mixwise.errors import StudyError


class NotMeasuredError(StudyError):
    """Something that was asked for is not known yet: let it be measured."""


class NoEngine:
    """Refuses every job: an `Engine` for reading."""

    @property
    def n_workers(self) -> int:
        """Jobs that run at once: the one that is refused."""
        return 1

    def run(
        self,
        function: Callable[[Job, OnStep], Result],
        jobs: Sequence[Job],
        on_step: Callable[[int, int], None],
    ) -> Iterator[Finished[Result]]:
        """Refuse the jobs; see `Engine.run`.

        Raises:
            NotMeasuredError: If there are any.
        """
        if jobs:
            raise NotMeasuredError(
                "this has not been measured in the study yet, and reading measures nothing: ask "
                "again when no other mixwise works in it and its folder can be written"
            )
        return iter(())

    def close(self) -> None:
        """There is nothing to stop."""
