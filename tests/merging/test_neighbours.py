from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.merging.conftest import DOMAINS, Family

from mixwise.merging.live_model import LiveModel
from mixwise.merging.neighbours import RunningSum
from mixwise.merging.task_vectors import TaskVector

BOUND = 256 * 2**-24


class Counted:
    """A task vector that counts how often it is added."""

    def __init__(self, inner: TaskVector) -> None:
        self.inner = inner
        self.n_added = 0

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    def __contains__(self, name: str) -> bool:
        return name in self.inner

    def load(self, name: str) -> torch.Tensor:
        return self.inner.load(name)

    def add_to(self, total: torch.Tensor, name: str, share: float, *, start: int = 0) -> None:
        self.n_added += 1
        self.inner.add_to(total, name, share, start=start)

    def dot(self, name: str, gradient: torch.Tensor, *, start: int = 0) -> float:
        return self.inner.dot(name, gradient, start=start)


@pytest.fixture
def live(families: dict[str, Family]) -> LiveModel:
    return families["llama"].live()


@pytest.fixture
def vectors(live: LiveModel, families: dict[str, Family], tmp_path: Path) -> dict[str, Counted]:
    pool = families["llama"].pool(live, folder=tmp_path)
    return {domain: Counted(vector) for domain, vector in pool.task_vectors.items()}


def gray_code(n_bits: int, n_steps: int) -> Iterator[set[str]]:
    for number in range(1, n_steps + 1):
        gray = (number ^ number >> 1) % 2**n_bits
        yield {domain for k, domain in enumerate(DOMAINS[:n_bits]) if gray >> k & 1}


def largest_drift(live: LiveModel, vectors: dict[str, Counted], subset: set[str]) -> float:
    """|θ − (θ₀ + mean δ)| of the worst element, relative to Σ |δᵢ| there."""
    worst = 0.0
    for name, tensor in live.tensors.items():
        deltas = [vector.load(name).double() for vector in vectors.values()]
        mean = sum(vectors[d].load(name).double() for d in subset) / max(1, len(subset))
        error = (tensor.double() - live.base_tensor(name) - mean).abs()
        rounding = tensor.double().abs() * 2**-24  # of the float32 result itself
        excess = (error - rounding) / sum(delta.abs() for delta in deltas)
        worst = max(worst, float(excess.max()))
    return worst


def test_a_thousand_steps_stay_below_the_stated_bound(
    live: LiveModel, vectors: dict[str, Counted]
) -> None:
    running = RunningSum(live, vectors)
    for number, subset in enumerate(gray_code(6, 1024)):
        running.write(subset, 1 / max(1, len(subset)))
        if number % 128 == 127 or number > 1000:
            assert largest_drift(live, vectors, subset) < BOUND


def test_a_wrong_sum_is_beyond_the_bound(live: LiveModel, vectors: dict[str, Counted]) -> None:
    RunningSum(live, vectors).write({"a", "b"}, 0.5)
    assert largest_drift(live, vectors, {"a", "c"}) > 1000 * BOUND


def test_only_what_changed_is_touched(live: LiveModel, vectors: dict[str, Counted]) -> None:
    running = RunningSum(live, vectors)
    running.write({"a", "b", "c", "d"}, 0.25)
    before = {domain: vector.n_added for domain, vector in vectors.items()}
    running.write({"a", "b", "c"}, 1 / 3)
    touched = {d for d, vector in vectors.items() if vector.n_added > before[d]}
    assert touched == {"d"}


def test_it_starts_anew_after_256_changes(live: LiveModel, vectors: dict[str, Counted]) -> None:
    running = RunningSum(live, vectors)
    running.write({"a"}, 1.0)
    n_once = vectors["a"].n_added
    for step in range(257):
        running.write({"a", "b"} if step % 2 == 0 else {"a"}, 1.0)
    assert vectors["a"].n_added == 2 * n_once


def test_it_pays_between_neighbours_of_four_and_more() -> None:
    live = LiveModel.__new__(LiveModel)
    running = RunningSum(live, {})
    assert not running.pays(set("abcd"))  # nothing came before
    assert running.pays(set("abcde"))
    assert running.pays(set("abcd"))
    assert not running.pays(set("abc"))  # as cheap to sum
    assert not running.pays(set("cdef"))
