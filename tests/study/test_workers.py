from typing import Any

import pytest

from mixwise.engine.cluster import Host
from mixwise.errors import ResourceError
from mixwise.recipe import Recipe
from mixwise.study import workers
from mixwise.study.workers import (
    Seats,
    choose_own_device,
    choose_run_device,
    choose_seats,
    describe_hosts,
)


def recipe(engine: dict[str, Any] | None = None, parts: int = 1) -> Recipe:
    return Recipe.model_validate(
        {
            "base": "b",
            "domains": {"a": {"files": "a"}, "b": {"files": "b"}},
            "horizon_tokens": 10**6,
            "training": {"processes_per_run": parts, "batch_sequences": 16},
            "engine": engine or {},
        }
    )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(device: str, n_cores: int, n_gpus: int = 0) -> None:
        monkeypatch.setattr(workers, "choose_device", lambda wanted: device)
        monkeypatch.setattr(workers, "n_cores", lambda: n_cores)
        monkeypatch.setattr("torch.cuda.device_count", lambda: n_gpus)

    return make


def test_a_run_per_core_on_the_cpu(machine: Any) -> None:
    machine("cpu", 8)
    assert choose_seats(recipe()) == Seats(8, 1, 0)
    assert choose_seats(recipe(parts=4)) == Seats(2, 1, 0)
    assert choose_seats(recipe({"workers": 2})) == Seats(2, 4, 0)
    assert choose_seats(recipe({"workers": 2, "threads": 3})) == Seats(2, 3, 0)


def test_a_run_per_gpu_or_group_of_them(machine: Any) -> None:
    machine("cuda", 16, n_gpus=4)
    assert choose_seats(recipe()) == Seats(4, 4, 1)
    assert choose_seats(recipe(parts=2)) == Seats(2, 4, 2)
    assert choose_seats(recipe({"workers": 1})).n_workers == 1


def test_more_than_the_gpus_hold_is_refused(machine: Any) -> None:
    machine("cuda", 16, n_gpus=2)
    with pytest.raises(ResourceError, match=r"processes_per_run` is 4, but there are 2 GPUs"):
        choose_seats(recipe(parts=4))
    with pytest.raises(ResourceError, match=r"`engine\.workers` is 3, but the GPUs hold 2 runs"):
        choose_seats(recipe({"workers": 3}))


def test_apples_gpu_takes_one_run(machine: Any) -> None:
    machine("mps", 8)
    assert choose_seats(recipe()) == Seats(1, 8, 0)


def test_jobs_that_are_few_share_all_cores(machine: Any) -> None:
    machine("cpu", 8)
    assert choose_seats(recipe(), 1) == Seats(1, 8, 0)
    assert choose_seats(recipe({"workers": 4}), 2) == Seats(2, 4, 0)
    assert choose_seats(recipe({"workers": 1}), 2) == Seats(1, 8, 0)


def gb(n: int) -> int:
    return n * 10**9


class Hosts:
    """A cluster that is not here."""

    is_elsewhere = True

    def __init__(self, *hosts: Host) -> None:
        self.hosts = hosts


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(*sizes: tuple[int, int]) -> None:
        hosts = [Host(f"h{k}", cores, gpus, gb(8)) for k, (cores, gpus) in enumerate(sizes)]
        monkeypatch.setattr(workers, "cluster_of", lambda recipe: Hosts(*hosts))

    return make


def test_a_cluster_of_cores_has_a_run_for_each(cluster: Any) -> None:
    cluster((8, 0), (3, 0))
    assert choose_seats(recipe()) == Seats(11, 1, 0)
    assert choose_seats(recipe(parts=2)) == Seats(5, 1, 0)  # 4 and 1: a run stays on a host
    assert choose_seats(recipe({"workers": 2})) == Seats(2, 5, 0)
    assert choose_seats(recipe({"workers": 1})) == Seats(1, 8, 0)  # of the larger host


def test_a_cluster_of_gpus_has_a_run_for_each(cluster: Any) -> None:
    cluster((16, 4), (64, 0), (8, 1))
    assert choose_run_device(recipe()) == "cuda"
    assert choose_seats(recipe()) == Seats(5, 4, 1)
    assert choose_seats(recipe(parts=2)) == Seats(2, 4, 2)
    with pytest.raises(ResourceError, match="no host of the cluster has more than 4 GPUs"):
        choose_seats(recipe(parts=8))


def test_more_workers_than_there_is_room_for_wait(cluster: Any) -> None:
    cluster((1, 0), (1, 0))
    assert choose_seats(recipe({"workers": 3})) == Seats(3, 1, 0)
    told = describe_hosts(recipe({"workers": 3}))
    assert told is not None
    assert "3 job(s) at once, each on 1 core(s)" in told
    assert "h0 1 (1 core(s), 8 GB), h1 1 (1 core(s), 8 GB); 1 wait(s) for a host" in told


def test_a_run_that_no_host_holds_is_refused(cluster: Any) -> None:
    cluster((4, 0), (2, 0))
    with pytest.raises(ResourceError, match=r"a run takes 5 core\(s\) of one host"):
        choose_seats(recipe({"threads": 5}))
    with pytest.raises(ResourceError, match=r"and 9 GB \(`engine\.memory_gb`\), but no host"):
        choose_seats(recipe({"cluster": "ray", "memory_gb": 9}))
    told = describe_hosts(recipe({"cluster": "ray", "memory_gb": 5}))
    assert told is not None
    assert "h0 1 (4 core(s), 8 GB), h1 1 (2 core(s), 8 GB)" in told


RAY = {"cluster": "ray"}


def test_a_run_that_no_host_has_room_for_is_spread(cluster: Any) -> None:
    cluster((16, 4), (8, 2), (64, 0), (8, 2))
    assert choose_seats(recipe(RAY, parts=4)) == Seats(1, 4, 4)  # the first host has room
    assert choose_seats(recipe(RAY, parts=8)) == Seats(1, 4, 8, is_spread=True)
    told = describe_hosts(recipe(RAY, parts=8))
    assert told is not None
    assert "1 job(s) at once, each over hosts in 8 processes of 4 core(s) and 1 GPU(s);" in told
    assert "h0 4 (16 core(s), 4 GPU(s), 8 GB), h1 2 (" in told
    assert "wait(s)" not in told
    told = describe_hosts(recipe({**RAY, "workers": 2}, parts=8))
    assert told is not None
    assert told.endswith("; 1 wait(s) for a host that joins")


def test_processes_of_a_spread_run_fit_on_the_cores_of_each_host(cluster: Any) -> None:
    cluster((7, 0), (7, 0), (7, 0))
    assert choose_seats(recipe(RAY, parts=16)) == Seats(1, 1, 0, is_spread=True)
    assert choose_seats(recipe(RAY, parts=8)) == Seats(2, 1, 0, is_spread=True)
    assert choose_seats(recipe({**RAY, "workers": 1}, parts=8)) == Seats(1, 2, 0, is_spread=True)
    assert choose_seats(recipe({**RAY, "threads": 5}, parts=2)) == Seats(10, 5, 0, is_spread=True)


def test_a_run_that_the_whole_cluster_has_no_room_for_is_refused(cluster: Any) -> None:
    cluster((16, 4), (8, 2))
    with pytest.raises(ResourceError, match=r"is 8, but the cluster has 6 GPUs \(h0 4, h1 2\)"):
        choose_seats(recipe(RAY, parts=8))
    cluster((2, 0), (1, 0))
    with pytest.raises(ResourceError, match=r"is 4, but the cluster has 3 cores \(h0 2, h1 1\)"):
        choose_seats(recipe(RAY, parts=4))
    with pytest.raises(ResourceError, match=r"takes 2 × 2 core\(s\) .*neither one host of the cl"):
        choose_seats(recipe({**RAY, "threads": 2}, parts=2))
    with pytest.raises(ResourceError, match=r"and 20 GB \(`engine\.memory_gb`\), but neither"):
        choose_seats(recipe({**RAY, "memory_gb": 20}, parts=2))
    spread = choose_seats(recipe({**RAY, "memory_gb": 12}, parts=2))
    assert spread == Seats(1, 1, 0, is_spread=True)  # 6 of 8 GB on each


def test_a_device_that_no_host_has_is_refused(cluster: Any) -> None:
    cluster((4, 0))
    wants = recipe().model_copy(
        update={"training": recipe().training.model_copy(update={"device": "cuda"})}
    )
    with pytest.raises(ResourceError, match="is `cuda`, but no host of the cluster has one"):
        choose_run_device(wants)
    assert choose_own_device(wants) in ("cpu", "cuda", "mps")


def test_this_machine_is_not_described() -> None:
    assert describe_hosts(recipe()) is None
