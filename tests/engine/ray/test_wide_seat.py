from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from tests.engine.ray.fake_ray import ActorDiedError, FakeRay

from mixwise.engine.protocol import OnStep
from mixwise.engine.ray import wide_seat as module
from mixwise.engine.ray.seat import Outcome, Placed
from mixwise.engine.ray.wide_seat import WideSeat, _Member
from mixwise.engine.team import READY, DoneElsewhere, NotSaidError, Team, current_team
from mixwise.errors import TrainingError

DEAD = ActorDiedError("a table\nits node is gone")


class HostSeat:
    """The seat of a node: jobs run in the thread that asks."""

    def __init__(self) -> None:
        self.is_ready = False

    def work(self, function: Callable[..., Any], jobs: Sequence[Any], index: int) -> Outcome:
        self.is_ready = False
        try:
            return Outcome(function(jobs[index], self.note), warnings=("said",))
        except DoneElsewhere:
            return Outcome(None, warnings=("said", "there"))
        except TrainingError as error:
            return Outcome(None, error)
        except MemoryError:
            return Outcome(None, MemoryError(), is_killed=True)

    def note(self, step: int) -> None:
        self.is_ready |= step == READY


class HostActor:
    """Its handle on another node."""

    def __init__(self) -> None:
        self.n_jobs = 0
        self.work = SimpleNamespace(remote=self._work)

    def _work(self, *arguments: Any) -> Future[Outcome]:
        self.n_jobs += 1
        ref: Future[Outcome] = Future()

        def do() -> None:
            try:
                ref.set_result(HostSeat().work(*arguments))
            except ActorDiedError as error:
                ref.set_exception(error)

        threading.Thread(target=do, daemon=True).start()
        return ref


@pytest.fixture
def seat(monkeypatch: pytest.MonkeyPatch) -> WideSeat:
    """Three hosts, with 2, 1 and 1 processes of a run."""
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)
    made = WideSeat(1, 0, {}, ".", has_shared_disk=True)
    made._first = HostSeat()  # type: ignore[assignment]
    made._members = [_Member(HostActor(), Placed(f"host{k}", {}, True)) for k in (1, 2)]
    made._teams = [Team(k, (2, 1, 1), "10.0.0.1", 0, f"10.0.0.{k + 1}", True) for k in range(3)]
    return made


def n_given(seat: WideSeat) -> list[int]:
    return [member.actor.n_jobs for member in seat._members]


def team_of(job: str, on_step: OnStep) -> str:
    """Do a job on all hosts; those beside the first have no result."""
    team = current_team()
    assert team is not None
    on_step(READY)
    if team.rank:
        raise DoneElsewhere
    time.sleep(0.1)  # as for others that meet there
    return f"{job} at {team.address}:{team.port} by {team.n_processes}"


def alone(job: str, on_step: OnStep) -> str:
    on_step(1)
    return job


def on_host(rank: int, error: BaseException, other: BaseException | None = None) -> Any:
    """A job that fails on one host by an error; the first notices."""

    def do(job: str, on_step: OnStep) -> None:
        team = current_team()
        assert team is not None
        on_step(READY)
        if team.rank == rank:
            raise error
        if team.rank == 0:
            time.sleep(0.1)
            raise other or NotSaidError("connection closed by peer")
        raise DoneElsewhere

    return do


def test_a_job_that_asks_for_the_others_is_given_to_all(seat: WideSeat) -> None:
    outcome = seat.work(team_of, ["job"], 0)
    port = outcome.result.split(":")[1].split()[0]
    assert outcome.result == f"job at 10.0.0.1:{port} by (2, 1, 1)"
    assert int(port) > 1023
    assert n_given(seat) == [1, 1]
    assert (outcome.warnings, outcome.is_spent) == (("said", "there"), False)


def test_a_job_that_does_not_is_the_first_hosts_alone(seat: WideSeat) -> None:
    assert seat.work(alone, ["job"], 0) == Outcome("job", warnings=("said",))
    assert n_given(seat) == [0, 0]


def test_a_seat_can_be_used_again(seat: WideSeat) -> None:
    for function, given in ((team_of, 1), (alone, 1), (team_of, 2)):
        assert "job" in seat.work(function, ["job"], 0).result
        assert n_given(seat) == [given, given]


def test_a_lost_host_is_the_reason_whatever_the_first_says(seat: WideSeat) -> None:
    outcome = seat.work(on_host(2, DEAD), ["job"], 0)
    assert outcome.is_killed
    assert outcome.is_spent
    assert outcome.why == "the worker on host2 was lost (its node is gone)"


def test_a_killed_process_of_another_host_is_the_reason(seat: WideSeat) -> None:
    outcome = seat.work(on_host(1, MemoryError()), ["job"], 0)
    assert (outcome.is_killed, outcome.why) == (True, "a worker process on host1 was killed")


def test_an_error_of_ours_comes_before_a_lost_connection(seat: WideSeat) -> None:
    outcome = seat.work(on_host(1, TrainingError("the loss is not finite")), ["job"], 0)
    assert str(outcome.error) == "the loss is not finite"
    assert outcome.is_spent
    assert not outcome.is_killed


def test_where_nobody_knows_why_all_are_heard(seat: WideSeat) -> None:
    outcome = seat.work(on_host(1, NotSaidError("exited with 1")), ["job"], 0)
    assert "connection closed by peer; host1: exited with 1" in str(outcome.error)


def test_a_host_that_does_not_end_counts_as_lost(
    seat: WideSeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.2)
    until = threading.Event()

    def hang(job: str, on_step: OnStep) -> None:
        team = current_team()
        assert team is not None
        on_step(READY)
        if team.rank == 2:
            until.wait(5)
        time.sleep(0.1)
        raise DoneElsewhere if team.rank else NotSaidError("connection closed by peer")

    outcome = seat.work(hang, ["job"], 0)
    until.set()
    assert (outcome.is_killed, outcome.why) == (True, "the processes on host2 did not end")


def test_the_first_may_take_long_after_the_others(
    seat: WideSeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)

    def do(job: str, on_step: OnStep) -> str:
        result = team_of(job, on_step)
        time.sleep(0.2)
        return result

    assert seat.work(do, ["job"], 0).result.startswith("job")


def test_the_result_counts_even_if_another_host_ended_badly(seat: WideSeat) -> None:
    def do(job: str, on_step: OnStep) -> str:
        team = current_team()
        assert team is not None
        on_step(READY)
        time.sleep(0.4 if team.rank == 1 else 0.1)
        if team.rank == 1:
            raise DEAD
        return job

    outcome = seat.work(do, ["job"], 0)
    assert (outcome.result, outcome.is_failed, outcome.is_spent) == ("job", False, True)
