from __future__ import annotations

import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.test_local import (
    OnStep,
    fail_on_two,
    ignore,
    save_when_stopped,
    square,
    tell_slowly,
    warn_twice,
)

pytest.importorskip("ray")

from mixwise.engine.ray.cluster import RayCluster
from mixwise.engine.ray.engine import RayEngine
from mixwise.engine.ray.seats import SeatResources
from mixwise.engine.team import READY, Team, current_team
from mixwise.errors import MixwiseWarning, ResourceError, TrainingError
from mixwise.recipe.sections import EngineSettings
from mixwise.testing import check_engine

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Ray leaves sockets and logs open


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A cluster of one node with two cores, which closing an engine leaves alone."""
    import ray

    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    before = signal.getsignal(signal.SIGTERM)
    size = {"num_cpus": 2, "object_store_memory": 10**8}
    ray.init("local", include_dashboard=False, log_to_driver=False, **size)
    yield RayCluster(EngineSettings(cluster="ray", address="local"))
    ray.shutdown()
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def engine(cluster: RayCluster) -> Iterator[RayEngine]:
    opened = cluster.open(2, 1, 0)
    assert isinstance(opened, RayEngine)
    yield opened
    opened.close()


def kill_itself_once(job: str, on_step: OnStep) -> str:
    mark = Path(job)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def kill_itself(job: int, on_step: OnStep) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def where(job: str, on_step: OnStep) -> tuple[str, str, str | None]:
    return str(Path.cwd()), socket.gethostname(), os.environ.get(job)


def n_threads(job: int, on_step: OnStep) -> int:
    import torch

    return torch.get_num_threads()


def test_the_contract_of_engines_is_kept(engine: RayEngine) -> None:
    check_engine(engine)


def test_hosts_are_what_the_cluster_has(cluster: RayCluster) -> None:
    [host] = cluster.hosts
    assert host.n_cores >= 1
    assert host.memory_bytes > 10**8


def test_jobs_run_in_the_callers_folder_with_its_settings(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXWISE_PROBE", "here")
    engine.close()  # seats take the environment when they begin
    [done] = engine.run(where, ["MIXWISE_PROBE"], ignore)
    assert done.result == (str(Path.cwd()), socket.gethostname(), "here")
    [threads] = engine.run(n_threads, [0], ignore)
    assert threads.result == 1


def test_steps_and_warnings_arrive(engine: RayEngine) -> None:
    steps: list[tuple[int, int]] = []
    [done] = engine.run(tell_slowly, [3], lambda index, step: steps.append((index, step)))
    assert done.result == 3
    assert set(steps) <= {(0, 1)}
    with pytest.warns(MixwiseWarning, match="job 1: file made anew") as told:
        list(engine.run(warn_twice, [1], ignore))
    assert len(told) == 2


def test_the_error_of_a_job_stops_the_others(engine: RayEngine) -> None:
    begun = time.monotonic()
    with pytest.raises(TrainingError, match="job two diverged"):
        list(engine.run(fail_on_two, [1, 2], ignore))
    assert time.monotonic() - begun < 50
    assert [d.result for d in engine.run(square, [4], ignore)] == [16]


def test_a_job_whose_process_is_killed_begins_anew(engine: RayEngine, tmp_path: Path) -> None:
    with pytest.warns(MixwiseWarning, match="was killed: its job begins anew"):
        [done] = engine.run(kill_itself_once, [str(tmp_path / "mark")], ignore)
    assert done.result == "done"


def test_a_job_that_is_killed_again_and_again_is_given_up(engine: RayEngine) -> None:
    with (
        pytest.warns(MixwiseWarning, match="begins anew"),
        pytest.raises(ResourceError, match=r"same job's 3 times.*engine\.memory_gb"),
    ):
        list(engine.run(kill_itself, [1], ignore))


def test_a_seat_that_is_lost_is_replaced(engine: RayEngine, tmp_path: Path) -> None:
    import ray

    def lose() -> None:
        while not list(tmp_path.glob("pid-*")):
            time.sleep(0.1)
        assert engine._seats is not None
        for held in engine._seats.busy:
            ray.kill(held.actor)

    list(engine.run(square, [1], ignore))  # a seat is there
    killer = threading.Thread(target=lose)
    killer.start()
    with pytest.warns(MixwiseWarning, match=r"the worker on .* was lost"):
        [done] = engine.run(wait_once, [str(tmp_path)], ignore)
    killer.join()
    assert done.result == 2


def wait_once(job: str, on_step: OnStep) -> int:
    Path(job, f"pid-{os.getpid()}").touch()
    n_tries = len(list(Path(job).glob("pid-*")))
    if n_tries == 1:
        time.sleep(600)
    return n_tries


def test_an_interrupt_lets_jobs_save_themselves(engine: RayEngine, tmp_path: Path) -> None:
    def stop(index: int, step: int) -> None:
        if len(list(tmp_path.glob("pid-*"))) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine.run(save_when_stopped, [str(tmp_path)] * 2, stop))
    assert len(list(tmp_path.glob("saved-*"))) == 2


def test_no_room_is_said_and_waited_for(
    cluster: RayCluster, engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixwise.engine.ray.engine._PATIENCE_SECONDS", 0.0)
    crowded = cluster.open(1, 1000, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MixwiseWarning)
        with pytest.raises(MixwiseWarning, match="has had no room for a worker"):
            list(crowded.run(square, [1], ignore))
    assert isinstance(crowded, RayEngine)
    assert crowded._seats is not None
    crowded._seats.close()


def team_of(job: int, on_step: OnStep) -> Team | None:
    on_step(READY)
    return current_team()


def test_places_of_a_wide_seat_on_one_node_are_one_host(
    cluster: RayCluster, engine: RayEngine
) -> None:
    engine.close()  # its cores are needed
    wide = RayEngine(1, SeatResources(1, 1, n_bundles=2))
    [done] = wide.run(team_of, [0], ignore)
    wide.close()
    assert done.result is not None
    assert (done.result.rank, done.result.n_processes) == (0, (2,))
    assert done.result.address == done.result.own_address == cluster.hosts[0].name


def test_a_run_that_no_node_has_room_for_is_given_a_wide_seat(cluster: RayCluster) -> None:
    resources = SeatResources(2, 2, 0, 10**9, n_bundles=3)
    settings = EngineSettings(cluster="ray", address="local", memory_gb=3)
    assert RayCluster(settings, 3).open(1, 2, 0)._resources == resources  # type: ignore[attr-defined]
    whole = SeatResources(1, 2, 0, 3 * 10**9)
    assert RayCluster(settings, 2).open(1, 1, 0)._resources == whole  # type: ignore[attr-defined]


def test_a_host_with_other_software_is_refused(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"mixwise": "0", "torch": "0", "transformers": "0", "numpy": "0", "python": "0"}
    monkeypatch.setattr("mixwise.engine.cluster.find_versions", lambda: ours)
    engine.close()
    with pytest.raises(ResourceError, match=r"has python .* but this host has 0"):
        list(engine.run(square, [1], ignore))


def test_every_node_is_called(cluster: RayCluster) -> None:
    [(name, found)] = cluster.call_everywhere(os.path.basename, "a/b")
    assert name == cluster.hosts[0].name
    assert found == "b"
