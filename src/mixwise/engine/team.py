"""The hosts that one job is spread over, as each of them sees the others.

Method:
    A job that no host has room for is given to several, a *team*. The first does it like any other;
    when it reports `READY` the others are given the same job too, so that whatever wraps it there
    (looks for the study's folder, fetches files) finds what the first has prepared. What comes of a
    team is the job's own affair: a training run starts its processes on each host
    (`mixwise.training.launch`). Only the first has a result.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from mixwise.engine.protocol import Job, OnStep, Result
from mixwise.errors import TrainingError

READY = -1  # the step that the first host reports when the others may begin


class DoneElsewhere(Exception):  # noqa: N818 - it is no error
    """Raised inside a job on a host that has done its part, but is not the first."""


class NotSaidError(TrainingError):
    """Processes of a run ended without a word of ours: another host may know why."""


@dataclass(frozen=True, slots=True)
class Team:
    """The hosts of one job.

    Args:
        rank: Which of them this one is; the first is 0.
        n_processes: Of the job, on each host.
        address: At which the first is reached.
        port: There, free for the job.
        own_address: Of this one.
        has_shared_disk: Whether all see the same folders.
    """

    rank: int
    n_processes: tuple[int, ...]
    address: str
    port: int
    own_address: str
    has_shared_disk: bool


_current: ContextVar[Team | None] = ContextVar("team", default=None)


def current_team() -> Team | None:
    """The team that the job of this process is spread over; None where it has one host."""
    return _current.get()


def call_in_team(
    function: Callable[[Job, OnStep], Result], team: Team, job: Job, on_step: OnStep
) -> Result:
    """Do a job as one host of a team.

    Args:
        function: Of the job and a callback of steps.
        team: As this host sees it.
        job: The job.
        on_step: Called with finished steps.

    Raises:
        DoneElsewhere: If this is not the first host, which has the result.
    """
    token = _current.set(team)
    try:
        return function(job, on_step)
    finally:
        _current.reset(token)
