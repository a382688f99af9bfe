from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.search.surrogates.gaussian_process import (
    JUMPING_KERNELS,
    KERNELS,
    Evidence,
    fit,
    fit_all,
    tangent_basis,
)

Array = np.ndarray
RATES = np.array([2.0, 0.5, -1.0, 0.3])


def points(n: int, n_domains: int, seed: int) -> Array:
    return np.random.default_rng(seed).dirichlet(np.ones(n_domains), n)


def log_linear(shares: Array) -> Array:
    return 1.5 + np.exp(-shares @ RATES)


def log_linear_slopes(shares: Array) -> Array:
    return -np.exp(-shares @ RATES)[:, None] * RATES


def evidence(n: int, n_sloped: int, seed: int = 0) -> Evidence:
    shares = points(n, 4, seed)
    sloped = np.arange(n_sloped)
    return Evidence(shares, log_linear(shares), sloped, log_linear_slopes(shares[sloped]))


@pytest.mark.parametrize("n", [2, 3, 9])
def test_the_basis_is_orthonormal_and_lies_in_the_simplex(n: int) -> None:
    basis = tangent_basis(n)
    assert basis.T @ basis == pytest.approx(np.eye(n - 1), abs=1e-12)
    assert basis.sum(axis=0) == pytest.approx(np.zeros(n - 1), abs=1e-12)


@pytest.mark.parametrize("has_floor", [False, True])
def test_values_and_slopes_that_were_given_are_met(has_floor: bool) -> None:
    data = evidence(6, 6)
    values, slopes = fit(data, has_floor=has_floor).predict(data.shares)
    centred = data.slopes - data.slopes.mean(axis=1, keepdims=True)
    assert values == pytest.approx(data.values, abs=1e-3)
    assert slopes == pytest.approx(centred, abs=5e-3)


def test_one_point_with_slopes_determines_a_plane() -> None:
    slope, middle = np.array([1.0, -2.0, 0.5]), np.full((1, 3), 1 / 3)
    data = Evidence(middle, middle @ slope, np.array([0]), slope[None])
    fresh = points(10, 3, 1)
    assert fit(data, has_floor=False).predict(fresh)[0] == pytest.approx(fresh @ slope, abs=5e-3)


def test_as_many_points_with_slopes_as_domains_determine_a_quadratic() -> None:
    n, rng = 6, np.random.default_rng(2)
    root = rng.normal(size=(n, n))
    bend, shares, fresh = root @ root.T / n, points(n, n, 3), points(50, n, 4)

    def truth(where: Array) -> Array:
        return np.einsum("ki,ij,kj->k", where, bend, where) / 2

    data = Evidence(shares, truth(shares), np.arange(n), shares @ bend)
    error = fit(data, has_floor=False).predict(fresh)[0] - truth(fresh)
    assert error.std() < 0.01 * truth(fresh).std()


def test_slopes_tell_more_than_values_alone() -> None:
    fresh = points(100, 4, 9)
    with_slopes = fit(evidence(3, 3), has_floor=True).predict(fresh)[0]
    without = fit(evidence(3, 0), has_floor=True).predict(fresh)[0]
    assert np.abs(with_slopes - log_linear(fresh)).max() < 0.05
    assert np.abs(without - log_linear(fresh)).max() > 0.2


def test_shuffled_slopes_predict_badly() -> None:
    data, fresh = evidence(4, 4), points(100, 4, 9)
    wrong = replace(data, slopes=data.slopes[:, [2, 3, 0, 1]])
    error = np.abs(fit(wrong, has_floor=True).predict(fresh)[0] - log_linear(fresh)).max()
    assert error > 0.2


def test_a_log_linear_metric_is_taken_for_one() -> None:
    found = fit(evidence(8, 4), has_floor=True)
    assert found.asymptote is not None
    assert fit(evidence(8, 4), has_floor=False).asymptote is None


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=25, deadline=None)
def test_slopes_are_those_of_the_prediction(seed: int, has_floor: bool) -> None:
    model = fit(evidence(7, 3, seed), has_floor=has_floor, kernels=KERNELS[::7])
    shares = points(5, 4, seed + 1)
    direction = np.random.default_rng(seed).normal(size=4)
    direction -= direction.mean()
    ups, downs = (model.predict(shares + h * direction)[0] for h in (1e-5, -1e-5))
    slopes = model.predict(shares)[1] @ direction
    assert (ups - downs) / 2e-5 == pytest.approx(slopes, abs=1e-4)


def test_the_deviation_vanishes_at_the_data_and_grows_away_from_it() -> None:
    data = evidence(5, 2)
    model = fit(data, has_floor=False)
    at, away = model.deviation(data.shares), model.deviation(np.eye(4))
    assert at.max() < 0.1 * away.max()


def test_noise_is_smoothed_and_not_above_what_the_examples_allow() -> None:
    rng, shares = np.random.default_rng(0), points(40, 3, 0)
    truth = shares @ [0.2, 0.5, 0.8]
    noisy = Evidence(
        shares, truth + rng.normal(0, 0.05, 40), np.arange(0), np.zeros((0, 3)), 0.05**2 * 2
    )
    model = fit(noisy, has_floor=False, kernels=JUMPING_KERNELS)
    assert np.abs(model.predict(shares)[0] - truth).std() < 0.035
    tight = fit(replace(noisy, most_noise=0.01**2), has_floor=False, kernels=JUMPING_KERNELS)
    assert tight.kernel.noise * tight.variance < model.kernel.noise * model.variance


def test_metrics_fitted_together_are_those_fitted_alone() -> None:
    one, two = evidence(5, 2), evidence(5, 2)
    two = replace(two, values=two.values**2, slopes=2 * two.values[:2, None] * two.slopes)
    fresh = points(3, 4, 5)
    for together, alone in zip(fit_all([one, two], has_floor=True), (one, two), strict=True):
        assert together.predict(fresh)[0] == pytest.approx(
            fit(alone, has_floor=True).predict(fresh)[0]
        )


def test_a_constant_metric_is_predicted_constant() -> None:
    shares = points(4, 3, 0)
    data = Evidence(shares, np.full(4, 2.0), np.arange(4), np.zeros((4, 3)))
    values, slopes = fit(data, has_floor=True).predict(points(5, 3, 1))
    assert values == pytest.approx(np.full(5, 2.0))
    assert slopes == pytest.approx(np.zeros((5, 3)))


def test_values_that_differ_by_rounding_alone_have_no_asymptote_below_them() -> None:
    shares = points(2, 3, 0)
    one, none = np.nextafter(1.0, 2.0), np.zeros(0, dtype=np.int64)
    found = fit(Evidence(shares, np.array([1.0, one]), none, np.zeros((0, 3))), has_floor=True)
    assert found.predict(shares)[0] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("n_sloped", [0, 3])
def test_left_out_values_are_those_of_a_process_without_the_point(n_sloped: int) -> None:
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(3), 6)
    values = 2 + (shares**2) @ np.array([1.0, 0.5, 0.2])
    slopes = 2 * shares[:n_sloped] * np.array([1.0, 0.5, 0.2])
    whole = fit(Evidence(shares, values, np.arange(n_sloped), slopes), has_floor=False)
    predicted = whole.left_out(values)
    covariance = whole.factor @ whole.factor.T
    d = whole.basis.shape[1]
    known = covariance @ whole.dual
    for i in range(len(shares)):
        own = [i, *(len(shares) + i * d + np.arange(d) if i < n_sloped else [])]
        kept = np.setdiff1d(np.arange(len(known)), own)
        weights = np.linalg.solve(covariance[np.ix_(kept, kept)], known[kept])
        wanted = whole.mean + covariance[i, kept] @ weights
        assert predicted[i] == pytest.approx(wanted, abs=1e-6)
