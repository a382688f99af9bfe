from typing import Any

import pytest

from mixwise.errors import ResourceError
from mixwise.recipe import Recipe
from mixwise.study import workers
from mixwise.study.workers import Seats, choose_seats


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
