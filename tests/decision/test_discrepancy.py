from __future__ import annotations

import numpy as np
import pytest

from mixwise.decision.discrepancy import (
    Trained,
    covariance,
    evenness,
    fit_discrepancy,
    leave_one_out,
    variance,
)
from mixwise.extrapolation import NOT_CONTINUED, ContinuationError

UNIFORM = np.full(4, 0.25)
CORNERS = np.eye(4)
RNG = np.random.default_rng(0)
SPREAD = RNG.dirichlet(np.ones(4), 30)


def world(shares: np.ndarray) -> np.ndarray:
    """What a proxy misses in a made-up world: a quadratic form that vanishes at the corners."""
    return 0.3 * evenness(shares)


def observe(shares: np.ndarray, noise: float, seeds: tuple[int, ...], seed: int) -> list[Trained]:
    rng = np.random.default_rng(seed)
    shared = {s: rng.normal(0, noise * 0.4**0.5) for s in seeds}
    rows = []
    for row in shares:
        own = rng.normal(0, noise * 0.6**0.5, len(seeds))
        runs = 1.0 + world(row[None])[0] + np.array([shared[s] for s in seeds]) + own
        rows.append(Trained(row, 1.0, runs, seeds))
    return rows


def test_evenness_and_variance_by_hand() -> None:
    assert evenness(np.array([[0.5, 0.5, 0.0, 0.0]]))[0] == pytest.approx(2 / 3)
    assert evenness(CORNERS).tolist() == [0, 0, 0, 0]
    assert variance(UNIFORM[None])[0] == pytest.approx(1)
    assert variance(SPREAD) == pytest.approx(np.diag(covariance(SPREAD, SPREAD)))


def test_nothing_is_missed_at_the_corners_and_nothing_is_unsure_there() -> None:
    belief = fit_discrepancy(observe(UNIFORM[None], 0.05, (1, 2), 0), size=0.2, noise=0.1)
    mean, deviation = belief.predict(CORNERS)
    assert mean == pytest.approx(0, abs=1e-9)
    assert deviation == pytest.approx(0, abs=1e-6)


def test_one_reference_corrects_the_level_of_all_mixtures() -> None:
    belief = fit_discrepancy(observe(UNIFORM[None], 0.01, (1, 2, 3), 0), size=0.2, noise=0.02)
    mean, _ = belief.predict(SPREAD)
    assert np.abs(mean - world(SPREAD)).mean() < 0.2 * world(SPREAD).mean()


def test_more_references_leave_less_error_and_less_doubt() -> None:
    few = fit_discrepancy(observe(SPREAD[:1], 0.1, (1, 2), 1), size=0.2, noise=0.1)
    many = fit_discrepancy(observe(SPREAD[:20], 0.1, (1, 2), 1), size=0.2, noise=0.1)
    rest = SPREAD[20:]
    doubts = [belief.predict(rest)[1].mean() for belief in (few, many)]
    assert doubts[1] < doubts[0]


def test_intervals_hold_what_they_promise() -> None:
    """Over many worlds drawn with other noise, ±1.96 deviations hold the truth most of the time."""
    inside = []
    for seed in range(40):
        belief = fit_discrepancy(observe(SPREAD[:4], 0.1, (1, 2), seed), size=0.2, noise=0.1)
        mean, deviation = belief.predict(SPREAD[4:])
        inside.append(np.abs(mean - world(SPREAD[4:])) <= 1.96 * deviation)
    assert 0.85 <= np.mean(inside) <= 1


def test_noise_is_learned_from_the_seeds() -> None:
    quiet = fit_discrepancy(observe(SPREAD[:10], 0.02, (1, 2, 3), 0), size=0.2, noise=0.1)
    loud = fit_discrepancy(observe(SPREAD[:10], 0.3, (1, 2, 3), 0), size=0.2, noise=0.1)
    assert quiet.noise < 0.05 < 0.15 < loud.noise


def test_joint_belief_agrees_with_the_single_ones() -> None:
    belief = fit_discrepancy(observe(SPREAD[:5], 0.1, (1, 2), 3), size=0.2, noise=0.1)
    mean, deviation = belief.predict(SPREAD)
    joint_mean, joint = belief.joint(SPREAD)
    assert joint_mean == pytest.approx(mean)
    assert np.sqrt(np.diag(joint)) == pytest.approx(deviation, abs=1e-7)
    assert np.linalg.eigvalsh(joint).min() > -1e-9


def test_leaving_one_out_predicts_it_from_the_others() -> None:
    trained = observe(SPREAD[:6], 0.05, (1, 2), 5)
    left = leave_one_out(trained, size=0.2, noise=0.1)
    others = fit_discrepancy(trained[1:], size=0.2, noise=0.1)
    assert left.expected[0] == pytest.approx(others.predict(trained[0].shares[None])[0][0])
    assert leave_one_out(trained[:1], size=0.2, noise=0.1).expected.tolist() == [0]


def test_shuffled_residuals_correct_nothing_but_the_level() -> None:
    """Negative control: what belongs to no mixture moves no ranking much."""
    rng = np.random.default_rng(7)
    rows = [Trained(row, 0.0, rng.normal(0, 0.1, 2), (1, 2)) for row in SPREAD[:20]]
    mean, _ = fit_discrepancy(rows, size=0.2, noise=0.1).predict(SPREAD[20:])
    assert np.abs(mean).max() < 0.08


def test_what_continuing_missed_of_single_domains_is_learned_however_much_it_is() -> None:
    slopes = np.array([1.5, -1.0, -0.5])  # far more than was guessed
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 10)
    trained = [Trained(row, 0.0, np.array([row @ slopes + 0.5]), (1,)) for row in rows]
    guess = ContinuationError(single=0.1, level=0.5)
    fresh = np.random.default_rng(1).dirichlet(np.ones(3), 20)
    learned, deviation = fit_discrepancy(trained, continued=guess).predict(fresh)
    plain, _ = fit_discrepancy(trained).predict(fresh)
    truth = fresh @ slopes + 0.5
    assert np.abs(learned - truth).mean() < 0.1
    assert np.abs(learned - truth).mean() < np.abs(plain - truth).mean() / 3
    assert np.all(deviation > 0)


def test_without_continuing_nothing_changes() -> None:
    trained = [Trained(np.array([0.5, 0.5, 0.0]), 0.0, np.array([0.2, 0.3]), (1, 2))]
    found = fit_discrepancy(trained)
    assert set(found.errors) == {NOT_CONTINUED}
    mean, covariance = found.joint(np.eye(3))
    assert mean == pytest.approx(np.zeros(3))  # nothing is missed at the corners
    assert covariance == pytest.approx(np.zeros((3, 3)), abs=1e-9)
