from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from mixwise.search.methods.boundary import Contrast, RaceEvidence, boundary, exceeds
from mixwise.search.methods.racing import look_schedule

Array = np.ndarray
Decide = Callable[[Contrast, float], bool]
LEVEL = 0.05
N_ORDERS = 400

POPULATIONS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy tails": lambda rng, n: rng.standard_t(3, n),
    "long upper tail": lambda rng, n: rng.lognormal(0, 1, n),
    "long lower tail": lambda rng, n: -rng.lognormal(0, 1, n),
    "mostly nothing": lambda rng, n: rng.choice([-1.0, 0.0, 1.0], n, p=[0.05, 0.9, 0.05]),
}


def contrast(differences: Array, n_examples: int) -> Contrast:
    rows = np.stack([differences, np.zeros(len(differences))])
    weights = np.ones(len(differences))
    return RaceEvidence(1.0, np.zeros(2), rows, weights, n_examples).difference(0, 1, 1.0)


def naive(found: Contrast, level: float) -> bool:
    """The z test that everybody would do, repeated at every look."""
    deviation = np.sqrt(max(found.variance, 1e-30) * (1 - found.n_seen / found.n_examples))
    return bool(found.n_seen > 3 and found.mean / deviation > norm.isf(level))


def sure(found: Contrast, level: float) -> bool:
    return exceeds([found], level)


def error_rate(name: str, n: int, decide: Decide, shift: float = 0.0) -> float:
    """Share of orders in which a difference of zero is ever called positive."""
    rng, looks = np.random.default_rng(7), look_schedule(n)[:-1]
    n_wrong = 0
    for _ in range(N_ORDERS):
        differences = POPULATIONS[name](rng, n)
        differences += shift * differences.std() - differences.mean()
        sizes = [n * last // min(n, 64) for last in looks]
        n_wrong += any(decide(contrast(differences[:k], n), LEVEL) for k in sizes)
    return n_wrong / N_ORDERS


@pytest.mark.parametrize("n", [64, 256])
@pytest.mark.parametrize("name", list(POPULATIONS))
def test_no_difference_is_called_one_no_oftener_than_stated(name: str, n: int) -> None:
    allowed = LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / N_ORDERS)
    assert error_rate(name, n, sure) <= allowed


@pytest.mark.parametrize("name", ["normal", "heavy tails", "long lower tail"])
def test_a_z_test_at_every_look_breaks_its_promise(name: str) -> None:
    assert error_rate(name, 256, naive) > 4 * LEVEL


def test_a_clear_difference_is_found_before_the_end() -> None:
    assert error_rate("normal", 256, sure, shift=0.7) > 0.95


def test_the_boundary_is_kept_by_brownian_paths() -> None:
    rng, taus = np.random.default_rng(0), np.geomspace(0.01, 30, 300)
    steps = np.sqrt(np.diff(taus, prepend=0.0)) * rng.standard_normal((2000, 300))
    paths = np.cumsum(steps, axis=1) / np.sqrt(taus)
    limits = np.array([boundary(tau, LEVEL) for tau in taus])
    crossed = (paths > limits).any(axis=1).mean()
    assert 0.3 * LEVEL < crossed <= LEVEL


def test_the_boundary_is_above_the_z_of_a_single_look_and_lowest_in_the_middle() -> None:
    heights = [boundary(tau, LEVEL) for tau in (0.01, 0.25, 10.0)]
    assert min(heights) > norm.isf(LEVEL)
    assert heights[1] == min(heights)


def test_a_contrast_worked_by_hand() -> None:
    rows = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    lane = RaceEvidence(1.0, np.array([0.5, 0.0]), rows, np.ones(3), 10)
    found = lane.difference(0, 1, 2.0)
    assert found.mean == pytest.approx(2 * (1.0 + 0.5))
    assert found.variance == pytest.approx(4 * 1.0 / 3)  # sample variance 1, three examples
    assert found.fall == pytest.approx(2 * 1 / 3)
    assert (found.third, found.n_seen, found.n_examples) == (pytest.approx(0), 3, 10)


def test_all_examples_leave_no_doubt() -> None:
    assert exceeds([contrast(np.array([1e-9, 0.0]), 2)], LEVEL)
    assert not exceeds([contrast(np.array([-1e-9, 0.0]), 2)], LEVEL)


def test_few_examples_prove_nothing() -> None:
    rng = np.random.default_rng(0)
    assert not exceeds([contrast(rng.normal(5, 0.01, 30), 1000)], LEVEL)
    assert exceeds([contrast(rng.normal(5, 0.01, 40), 1000)], LEVEL)


def test_weights_count_tokens() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 0.0]])
    lane = RaceEvidence(1.0, np.zeros(2), rows, np.array([3.0, 1.0]), 4)
    assert lane.means() == pytest.approx([0.75, 0.0])
