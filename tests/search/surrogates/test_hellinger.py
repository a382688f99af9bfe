import numpy as np
import pytest
from scipy.stats import spearmanr

from mixwise.search.surrogates.hellinger import fit_hellinger

RNG = np.random.default_rng(0)
SHARES = RNG.dirichlet(np.full(4, 0.5), 60)


def law(shares: np.ndarray) -> np.ndarray:
    """A loss that falls with the first percents of a domain most; the last two tell nothing."""
    return np.asarray(3 - np.sqrt(shares[:, 0]) - 0.5 * np.sqrt(shares[:, 1]))


@pytest.mark.parametrize("length_per_domain", [False, True])
def test_runs_that_were_not_seen_are_predicted(length_per_domain: bool) -> None:
    noise = 0.01 * RNG.standard_normal(40)
    model = fit_hellinger(
        SHARES[:40], law(SHARES[:40]) + noise, length_per_domain=length_per_domain, seed=0
    )
    predicted, truth = model.predict(SHARES[40:]), law(SHARES[40:])
    assert spearmanr(predicted, truth)[0] > 0.95
    assert np.abs(predicted - truth).mean() < 0.03


def test_the_noise_of_runs_is_found_and_no_part_of_the_mean() -> None:
    shares = np.repeat(SHARES[:20], 4, axis=0)
    values = law(shares) + 0.1 * np.random.default_rng(1).standard_normal(80)
    model = fit_hellinger(shares, values, length_per_domain=False, seed=0)
    assert model.noise == pytest.approx(0.1, rel=0.35)
    _, covariance = model.joint(SHARES[:20])
    assert (np.sqrt(np.diag(covariance)) < 0.1).all(), "four runs know the mean better than one"
    assert (model.deviation(SHARES[:20]) > model.noise * 0.999).all()


def test_the_joint_posterior_agrees_with_single_predictions() -> None:
    model = fit_hellinger(SHARES, law(SHARES), length_per_domain=True, seed=0)
    mean, covariance = model.joint(SHARES[:5])
    assert mean == pytest.approx(model.predict(SHARES[:5]))
    single = model.deviation(SHARES[:5])
    assert np.diag(covariance) + model.noise**2 == pytest.approx(single**2, abs=1e-9)


def test_many_rows_are_predicted_in_blocks_and_learned_from_some() -> None:
    shares = np.random.default_rng(2).dirichlet(np.ones(4), 5000)
    model = fit_hellinger(SHARES, law(SHARES), length_per_domain=False, seed=0)
    assert model.predict(shares) == pytest.approx(
        np.concatenate([model.predict(shares[:7]), model.predict(shares[7:])])
    )


def test_equal_values_are_predicted_as_such() -> None:
    model = fit_hellinger(SHARES[:10], np.full(10, 2.5), length_per_domain=False, seed=0)
    assert model.predict(SHARES[10:12]) == pytest.approx([2.5, 2.5])


def test_a_share_that_is_below_zero_by_a_rounding_is_zero() -> None:
    model = fit_hellinger(SHARES[:12], law(SHARES[:12]), length_per_domain=False, seed=0)
    edge = np.array([[0.5, 0.5, 0.0, 0.0]])
    beyond = edge - [0.0, 0.0, 1e-17, 0.0]
    assert model.predict(beyond) == pytest.approx(model.predict(edge))
    assert model.deviation(beyond) == pytest.approx(model.deviation(edge))
