from __future__ import annotations

import pickle
from functools import partial

import pytest

from mixwise.engine.protocol import OnStep
from mixwise.engine.team import Team, call_in_team, current_team

TEAM = Team(1, (2, 1), "10.0.0.1", 4711, "10.0.0.2", has_shared_disk=True)


def rank_of(job: str, on_step: OnStep) -> str:
    team = current_team()
    on_step(7)
    return f"{job} {team.rank if team else 'alone'}"


def fail(job: str, on_step: OnStep) -> str:
    raise ValueError(job)


def test_a_job_knows_its_team_for_as_long_as_it_lasts() -> None:
    steps: list[int] = []
    assert rank_of("job", steps.append) == "job alone"
    assert call_in_team(rank_of, TEAM, "job", steps.append) == "job 1"
    with pytest.raises(ValueError, match="job"):
        call_in_team(fail, TEAM, "job", steps.append)
    assert current_team() is None
    assert steps == [7, 7]


def test_such_a_call_travels_between_processes() -> None:
    call = pickle.loads(pickle.dumps(partial(call_in_team, rank_of, TEAM)))
    assert call("job", lambda step: None) == "job 1"
