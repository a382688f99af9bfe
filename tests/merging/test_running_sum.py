from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.families import DOMAINS, Family

from mixwise.merging.running_sum import RunningSum
from mixwise.merging.task_vectors.task_vector import TaskVector
from mixwise.models.live_model import LiveModel


class Counted:
    """A task vector that counts how often it is added."""

    def __init__(self, inner: TaskVector) -> None:
        self.inner = inner
        self.n_added = 0
        self.is_broken = False

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    def __contains__(self, name: str) -> bool:
        return name in self.inner

    def load(self, name: str) -> torch.Tensor:
        return self.inner.load(name)

    def add_to(self, total: torch.Tensor, name: str, share: float, *, start: int = 0) -> None:
        if self.is_broken and start == 0 and total.numel() < 100:
            raise OSError("gone")
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


def bits(live: LiveModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in live.tensors.items()}


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_thousand_steps_end_in_the_bits_of_a_new_sum(
    live: LiveModel, vectors: dict[str, Counted]
) -> None:
    running = RunningSum(live, vectors)
    for number, subset in enumerate(gray_code(6, 1024)):
        running.write(subset, 1 / max(1, len(subset)))
        if number % 256 == 200:
            walked = bits(live)
            RunningSum(live, vectors).write(subset, 1 / len(subset))
            assert are_equal(walked, bits(live))


def test_an_element_is_off_by_less_than_the_stated_share(
    live: LiveModel, vectors: dict[str, Counted]
) -> None:
    subset = {"a", "b", "d"}
    RunningSum(live, vectors).write(subset, 1 / 3)
    for name, tensor in live.tensors.items():
        deltas = {d: vector.load(name).double() for d, vector in vectors.items()}
        base, mean = live.base_tensor(name).double(), sum(deltas[d] for d in subset) / 3
        largest = max(float(delta.abs().max()) for delta in deltas.values())
        rounding = (base.abs() + mean.abs()) * 2**-23  # of float32, in which both are added
        assert ((tensor.double() - base - mean).abs() <= rounding + largest * 6 / 2**30).all()


def test_another_subset_has_other_bits(live: LiveModel, vectors: dict[str, Counted]) -> None:
    RunningSum(live, vectors).write({"a", "b"}, 0.5)
    one = bits(live)
    RunningSum(live, vectors).write({"a", "c"}, 0.5)
    assert not are_equal(one, bits(live))


def test_tensors_that_no_expert_changes_stay_the_base(live: LiveModel) -> None:
    RunningSum(live, {}).write(set(), 0.0)
    assert all(torch.equal(t, live.base_tensor(n)) for n, t in live.tensors.items())


def test_only_what_changed_is_touched(live: LiveModel, vectors: dict[str, Counted]) -> None:
    running = RunningSum(live, vectors)
    running.write({"a", "b", "c", "d"}, 0.25)
    running.write({"a", "b", "c", "d", "e"}, 0.2)  # a neighbour: from here on the sum is kept
    before = {domain: vector.n_added for domain, vector in vectors.items()}
    running.write({"a", "b", "c", "d"}, 0.25)
    touched = {d for d, vector in vectors.items() if vector.n_added > before[d]}
    assert touched == {"e"}


@pytest.mark.parametrize(
    ("before", "subset", "pays"),
    [("", "abcd", False), ("abcd", "abcde", True), ("abcde", "abcd", True), ("abcd", "abc", False)],
)
def test_it_pays_between_neighbours_of_four_and_more(
    live: LiveModel, vectors: dict[str, Counted], before: str, subset: str, *, pays: bool
) -> None:
    running = RunningSum(live, vectors)
    running.write(set(before), 1.0)
    n_before = sum(vector.n_added for vector in vectors.values())
    running.write(set(subset), 1.0)
    running.write(set(subset), 1.0)  # nothing at all, where the sum was kept
    n_added = sum(vector.n_added for vector in vectors.values()) - n_before
    n_tensors = sum(name in vectors["a"] for name in live.tensors)
    assert (n_added < 2 * len(subset) * n_tensors) == pays


def test_an_interrupted_step_is_forgotten(live: LiveModel, vectors: dict[str, Counted]) -> None:
    running = RunningSum(live, vectors)
    for subset in ("abcd", "abcde", "abcd"):
        running.write(set(subset), 0.25)
    before = bits(live)
    vectors["f"].is_broken = True
    with pytest.raises(OSError, match="gone"):
        running.write(set("abcdf"), 0.2)
    running.write(set("abcd"), 0.25)
    assert are_equal(bits(live), before)
