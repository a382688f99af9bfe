from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.ray.fake_ray import FakeRay, KillsItsProcess, LosesItsSeat, RayTaskError

from mixwise.engine.protocol import OnStep, Stopped
from mixwise.engine.ray import engine as module
from mixwise.engine.ray.engine import RayEngine
from mixwise.engine.ray.seat import Placed
from mixwise.engine.ray.seats import SeatResources, Seats
from mixwise.errors import BusyError, MixwiseWarning, ResourceError, TrainingError
from mixwise.interrupts import Interrupted
from mixwise.testing import check_engine

pytestmark = pytest.mark.filterwarnings("ignore:said")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setattr(module, "join", lambda address: fake)
    monkeypatch.setattr(module, "is_head_there", lambda ray: True)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.01)
    return fake


@pytest.fixture
def engine(ray: FakeRay) -> Iterator[RayEngine]:
    opened = RayEngine(2, SeatResources(1, 1))
    yield opened
    opened.close()


class Failing:
    """A job that fails some times before it is done."""

    def __init__(self, error: Exception, n_times: int) -> None:
        self.error, self.n_left, self.n_tries = error, n_times, 0

    def __call__(self, job: int, on_step: OnStep) -> int:
        self.n_tries += 1
        self.n_left -= 1
        if self.n_left >= 0:
            raise self.error
        return job


def ignore(index: int, step: int) -> None:
    pass


def square(job: int, on_step: OnStep) -> int:
    return job * job


def test_the_contract_of_engines_is_kept(engine: RayEngine) -> None:
    check_engine(engine)


def test_no_jobs_need_no_seat(engine: RayEngine, ray: FakeRay) -> None:
    assert list(engine.run(square, [], ignore)) == []
    assert not ray.actors


def test_seats_are_kept_between_calls_and_ask_for_what_they_take(ray: FakeRay) -> None:
    engine = RayEngine(2, SeatResources(3, 6, 2, 5 * 10**9))
    for _ in range(3):
        assert sorted(done.result for done in engine.run(square, [1, 2, 3], ignore)) == [1, 4, 9]
    assert len(ray.actors) == 2
    assert ray.asked[0]["num_cpus"] == 6
    assert (ray.asked[0]["num_gpus"], ray.asked[0]["memory"]) == (2, 5 * 10**9)
    engine.close()
    assert all(actor.is_dead.is_set() for actor in ray.actors)


def test_one_job_asks_for_one_seat(engine: RayEngine, ray: FakeRay) -> None:
    list(engine.run(square, [1], ignore))
    assert len(ray.actors) == 1


def test_warnings_of_jobs_are_given_here(engine: RayEngine) -> None:
    with pytest.warns(MixwiseWarning, match="said"):
        list(engine.run(square, [1], ignore))


@pytest.mark.parametrize("error", [KillsItsProcess(), LosesItsSeat()])
def test_a_job_that_lost_its_process_or_node_begins_anew_and_is_given_up_in_the_end(
    engine: RayEngine, error: Exception
) -> None:
    twice = Failing(error, 2)
    with pytest.warns(MixwiseWarning, match="its job begins anew, from its last snapshot"):
        [done] = engine.run(twice, [7], ignore)
    assert (done.result, twice.n_tries) == (7, 3)
    always = Failing(error, 99)
    with (
        pytest.warns(MixwiseWarning, match="begins anew"),
        pytest.raises(ResourceError, match="the same job's 3 times, most likely for lack of mem"),
    ):
        list(engine.run(always, [7], ignore))
    assert always.n_tries == 3


def test_a_job_that_a_host_cannot_read_is_no_lost_cluster(engine: RayEngine) -> None:
    error = RayTaskError("a table\nModuleNotFoundError: No module named 'own_metrics'")
    with pytest.raises(ResourceError, match=r"^node0: cannot read its job.*own_metrics.*installed"):
        list(engine.run(Failing(error, 1), [7], ignore))


def test_a_lost_node_is_named_with_its_reason(engine: RayEngine) -> None:
    with pytest.warns(MixwiseWarning, match=r"worker on node0 was lost \(its node is gone\)"):
        list(engine.run(Failing(LosesItsSeat(), 1), [7], ignore))


def test_a_run_that_a_lost_node_still_holds_is_waited_for(engine: RayEngine) -> None:
    tries: list[int] = []

    def job(job: int, on_step: OnStep) -> int:
        tries.append(job)
        if len(tries) == 1:
            raise LosesItsSeat
        if len(tries) < 4:
            raise BusyError("another process is training this run")
        return job

    with pytest.warns(MixwiseWarning, match="was lost"):
        [done] = engine.run(job, [7], ignore)
    assert (done.result, len(tries)) == (7, 4)


def test_a_run_that_another_command_holds_is_not_waited_for(engine: RayEngine) -> None:
    with pytest.raises(BusyError, match="another process"):
        list(engine.run(Failing(BusyError("another process"), 1), [7], ignore))


def test_a_run_of_a_killed_command_by_rays_client_is_waited_for(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_client", lambda: True)
    held = Failing(BusyError("another process"), 2)
    assert [done.result for done in engine.run(held, [7], ignore)] == [7]


def test_an_error_stops_the_other_jobs_and_keeps_their_seats(
    engine: RayEngine, ray: FakeRay
) -> None:
    stopped = threading.Event()

    def job(job: int, on_step: OnStep) -> int:
        if job == 2:
            raise TrainingError("job two diverged")
        try:
            for step in range(1000):
                on_step(step)
                time.sleep(0.01)
        except Stopped:
            stopped.set()
            raise
        return job

    with pytest.raises(TrainingError, match="job two diverged"):
        list(engine.run(job, [1, 2], ignore))
    assert stopped.is_set()
    assert [done.result for done in engine.run(square, [4], ignore)] == [16]
    assert len(ray.actors) == 2


def test_steps_are_told_by_their_job(engine: RayEngine) -> None:
    def job(job: int, on_step: OnStep) -> int:
        on_step(10 * job)
        time.sleep(0.3)
        return job

    told: set[tuple[int, int]] = set()
    list(engine.run(job, [1, 2], lambda index, step: told.add((index, step))))
    assert told == {(0, 10), (1, 20)}


def test_a_seat_that_finds_room_later_takes_its_share(ray: FakeRay) -> None:
    ray.room = threading.Semaphore(1)
    hosts: set[str] = set()

    def job(job: int, on_step: OnStep) -> str:
        time.sleep(0.02)
        return threading.current_thread().name

    engine = RayEngine(2, SeatResources(1, 1))
    for done in engine.run(job, range(20), ignore):
        hosts.add(str(done.index))
        if len(hosts) == 5:
            ray.room.release()  # a node joins
    assert len(hosts) == 20
    assert engine._seats is not None
    assert [bool(held.host) for held in engine._seats.held] == [True, True]
    engine.close()


def test_a_cluster_without_room_is_told_once(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    ray.room = threading.Semaphore(0)
    threading.Timer(0.5, ray.room.release).start()
    engine = RayEngine(1, SeatResources(1, 1))
    with pytest.warns(MixwiseWarning) as told:
        list(engine.run(square, [1], ignore))
    assert sum("no room for a worker" in str(one.message) for one in told) == 1
    engine.close()


def test_a_cluster_that_starts_no_worker_is_told(engine: RayEngine, ray: FakeRay) -> None:
    ray.starts = False
    with pytest.raises(ResourceError, match=r"starts no worker \(ModuleNotFoundError: mixwise\)"):
        list(engine.run(square, [1], ignore))


def test_a_lost_head_ends_the_call(engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_head_there", lambda ray: False)
    monkeypatch.setattr(module, "_HEAD_SECONDS", 0.01)

    def job(job: int, on_step: OnStep) -> int:
        for step in range(1000):
            on_step(step)
            time.sleep(0.01)
        return job

    with pytest.raises(ResourceError, match=r"the Ray cluster is lost \(its head does not answer"):
        list(engine.run(job, [1], ignore))


def test_what_a_signal_raises_inside_of_ray_is_raised(
    engine: RayEngine, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(*arguments: Any, **more: Any) -> None:
        try:
            raise Interrupted(15)
        except Interrupted as heard:
            raise SystemError("wait returned a result with an exception set") from heard

    monkeypatch.setattr(ray, "wait", wait)
    with pytest.raises(Interrupted, match=r"stopped by SIGTERM"):
        list(engine.run(square, [1], ignore))


def test_a_head_that_rays_client_has_lost_ends_the_call(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = [True]
    monkeypatch.setattr("mixwise.engine.ray.seats.is_client", lambda: connected[0])

    def cut_off(seats: Seats, seconds: float) -> None:
        connected[0] = False
        raise Exception("Ray Client is not connected")  # what it raises

    with monkeypatch.context() as patched:
        patched.setattr(Seats, "wait", cut_off)
        patched.setattr(Seats, "drop", cut_off)
        with pytest.raises(ResourceError, match=r"is lost \(Ray Client is not connected\): start"):
            list(engine.run(square, [1], ignore))
        engine.close()


def test_a_host_with_other_software_is_refused(engine: RayEngine, ray: FakeRay) -> None:
    ray.versions = {**ray.versions, "torch": "0.1"}
    with pytest.raises(ResourceError, match=r"^node0: has torch 0\.1, but this host has"):
        list(engine.run(square, [1], ignore))


def test_a_host_without_the_folder_is_refused(
    engine: RayEngine, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Placed("node9", {}, has_folder=False)
    monkeypatch.setattr("tests.engine.ray.fake_ray.Placed", lambda *parts: elsewhere)
    with pytest.raises(ResourceError, match=f"node9: has no folder {Path.cwd()}, where this"):
        list(engine.run(square, [1], ignore))
