import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from mixwise.arrays import Array
from mixwise.mixture import MixtureSpace
from mixwise.search.space.designs import lattice, seed_points
from mixwise.search.surrogates.regressors import fit_quadratic, fit_trees, quadratic_features


def shares(n: int, n_domains: int, seed: int) -> Array:
    return np.random.default_rng(seed).dirichlet(np.ones(n_domains), n)


def design(n_domains: int, n: int) -> Array:
    space = MixtureSpace.whole(f"d{i}" for i in range(n_domains))
    return np.array([m.shares for m in seed_points(space, n, seed=0)])


def peak(points: Array) -> Array:
    """Two smooth metrics with known ranks."""
    best = np.linspace(0.1, 0.5, points.shape[1])
    distance = ((points - best) ** 2).sum(axis=1)
    return np.stack([distance, np.exp(-distance)], axis=1)


def test_features_worked_by_hand() -> None:
    assert quadratic_features(np.array([[0.5, 0.25, 0.25]])).tolist() == [
        [0.5, 0.25, 0.25, 0.125, 0.125, 0.0625]
    ]


def test_a_quadratic_of_two_domains_worked_by_hand() -> None:
    # 1 at a, 3 at b, 4 in the middle: 1·a + 3·b + 8·ab
    predict = fit_quadratic(np.array([[1, 0], [0, 1], [0.5, 0.5]]), np.array([[1.0], [3.0], [4.0]]))
    assert predict(np.array([[0.25, 0.75]]))[0, 0] == pytest.approx(0.25 + 2.25 + 8 * 3 / 16)


@given(st.integers(2, 6), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_the_quadratic_passes_through_every_point_of_the_lattice(n: int, seed: int) -> None:
    points = np.array([m.shares for m in lattice(MixtureSpace.whole(f"d{i}" for i in range(n)))])
    values = np.random.default_rng(seed).normal(size=(len(points), 2))
    assert fit_quadratic(points, values)(points) == pytest.approx(values, abs=1e-6)


@given(st.integers(2, 6), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_the_lattice_determines_every_quadratic(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    curvature, slope = rng.normal(size=(n, n)), rng.normal(size=n)

    def truth(points: Array) -> Array:
        return (np.einsum("ki,ij,kj->k", points, curvature, points) + points @ slope + 2)[:, None]

    points = np.array([m.shares for m in lattice(MixtureSpace.whole(f"d{i}" for i in range(n)))])
    fresh = shares(50, n, seed)
    assert fit_quadratic(points, truth(points))(fresh) == pytest.approx(truth(fresh), abs=1e-5)


def test_a_quadratic_of_too_few_points_still_passes_through_them() -> None:
    points = np.eye(4)
    values = np.arange(4.0)[:, None]
    predict = fit_quadratic(points, values)
    assert predict(points) == pytest.approx(values)
    assert np.isfinite(predict(shares(20, 4, 0))).all()


def test_least_squares_averages_noise_away() -> None:
    rng = np.random.default_rng(0)
    points, fresh = shares(2000, 3, 1), shares(100, 3, 2)
    noisy = peak(points)[:, :1] + rng.normal(0, 0.1, (2000, 1))
    assert np.abs(fit_quadratic(points, noisy)(fresh) - peak(fresh)[:, :1]).max() < 0.03


def test_trees_rank_fresh_mixtures_nearly_right() -> None:
    points, fresh = design(4, 40), shares(300, 4, 1)
    predicted = fit_trees(points, peak(points), seed=0)(fresh)
    assert predicted.shape == (300, 2)
    for column in range(2):
        assert spearmanr(predicted[:, column], peak(fresh)[:, column]).statistic > 0.75


def test_trees_learn_nothing_from_shuffled_scores() -> None:
    points, fresh = design(4, 40), shares(300, 4, 1)
    agreement = []
    for seed in range(20):
        shuffled = np.random.default_rng(seed).permutation(peak(points))
        predicted = fit_trees(points, shuffled, seed=0)(fresh)
        agreement.append(spearmanr(predicted[:, 0], peak(fresh)[:, 0]).statistic)
    assert abs(np.mean(agreement)) < 0.25


def test_trees_are_the_same_for_the_same_seed() -> None:
    points, fresh = design(3, 20), shares(50, 3, 1)
    first, again = (fit_trees(points, peak(points), seed=3)(fresh) for _ in range(2))
    assert first.tobytes() == again.tobytes()


def test_trees_do_not_mind_the_unit_of_a_metric() -> None:
    points, fresh = design(3, 20), shares(50, 3, 1)
    plain = fit_trees(points, peak(points), seed=0)(fresh)
    scaled = fit_trees(points, 1024 * peak(points), seed=0)(fresh)
    assert scaled == pytest.approx(1024 * plain)


def test_a_metric_that_never_changes_is_predicted_as_it_is() -> None:
    points = design(3, 20)
    constant = np.full((len(points), 1), 2.5)
    fresh = shares(10, 3, 0)
    assert fit_trees(points, constant, seed=0)(fresh) == pytest.approx(np.full((10, 1), 2.5))
    assert fit_quadratic(points, constant)(fresh) == pytest.approx(np.full((10, 1), 2.5))
