from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from mixwise.diagnostics.fidelity import (
    Array,
    Estimate,
    kendall_rows,
    measure_fidelity,
    seed_noise,
    spearman_rows,
)

FIGURES = ("spearman", "kendall", "top_quarter", "regret", "mean_absolute_error", "bias")


def simulate(n: int, k: int, noise: float, seed: int) -> tuple[Array, Array]:
    """A noiseless truth, and k noisy runs of it."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    return truth, truth[:, None] + noise * rng.normal(size=(n, k))


@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 10_000))
@settings(deadline=None, max_examples=50)
def test_rank_correlations_equal_scipy_row_by_row_with_ties(n: int, levels: int, seed: int) -> None:
    x, y = np.random.default_rng(seed).integers(0, levels, (2, 5, n)).astype(float)
    for i in range(5):
        constant = np.ptp(x[i]) == 0 or np.ptp(y[i]) == 0
        for ours, theirs in ((spearman_rows, spearmanr), (kendall_rows, kendalltau)):
            figure = ours(x, y)[i]
            if constant:
                assert np.isnan(figure)
            else:
                assert figure == pytest.approx(theirs(x[i], y[i]).statistic, abs=1e-12)


def test_figures_worked_by_hand() -> None:
    proxy = np.array([1.0, 2.0, 3.0, 4.0])
    reference = np.array([[1.0, 3.0], [1.0, 1.0], [4.0, 4.0], [3.0, 3.0]])  # means 2, 1, 4, 3
    found = measure_fidelity(proxy, reference, sign=1, seed=0)
    assert (found.n_mixtures, found.n_seeds) == (4, 2)
    assert found.spearman.value == pytest.approx(1 - 6 * 4 / (4 * 15))
    assert found.kendall.value == pytest.approx((4 - 2) / 6)
    assert found.regret.value == 1  # the proxy picks the last one: 3 instead of 4
    assert found.mean_absolute_error.value == 1
    assert found.bias.value == 0
    assert found.seed_noise == pytest.approx((2 / 4) ** 0.5)
    assert found.top_quarter == Estimate(None)


def test_the_direction_turns_regret_and_not_bias() -> None:
    proxy, reference = np.array([1.0, 2.0, 3.0]), np.array([[2.0], [1.5], [4.0]])
    loss = measure_fidelity(proxy, reference, sign=-1, seed=0)
    accuracy = measure_fidelity(proxy, reference, sign=1, seed=0)
    assert loss.regret.value == 0.5  # picks the first, the second is lowest
    assert accuracy.regret.value == 0
    assert loss.bias == accuracy.bias
    assert loss.spearman.value == accuracy.spearman.value


@pytest.mark.parametrize("sign", [1, -1])
def test_the_top_quarter_is_the_best_by_the_reference(sign: int) -> None:
    reference = sign * np.arange(12.0)
    proxy = reference.copy()
    proxy[-3:] = proxy[-3:][::-1].copy()  # the three best are ranked the wrong way round
    found = measure_fidelity(proxy, reference[:, None], sign=sign, seed=0)
    assert found.top_quarter.value == pytest.approx(-1)
    assert found.spearman.value is not None
    assert found.spearman.value > 0.9


@pytest.mark.parametrize(("n", "defined"), [(8, False), (9, True), (12, True)])
def test_a_quarter_of_fewer_than_three_has_no_rank(n: int, defined: bool) -> None:
    x = np.arange(float(n))
    found = measure_fidelity(x, x[:, None], sign=1, seed=0).top_quarter
    assert (found.value is not None) == defined


def test_a_perfect_proxy_is_perfect() -> None:
    truth = np.arange(20.0)
    found = measure_fidelity(truth, truth[:, None], sign=1, seed=0)
    assert found.spearman == Estimate(1, 1, 1)
    assert found.kendall == Estimate(1, 1, 1)
    assert found.regret == found.bias == found.mean_absolute_error == Estimate(0, 0, 0)
    assert found.seed_noise is found.seed_spearman is found.ceiling is None


@given(st.integers(0, 10_000), st.sampled_from([1, -1]))
@settings(deadline=None, max_examples=25)
def test_regret_is_never_negative_and_zero_when_the_best_is_picked(seed: int, sign: int) -> None:
    truth, reference = simulate(10, 2, 0.5, seed)
    regret = measure_fidelity(truth, reference, sign=sign, seed=0).regret
    assert regret.value is not None
    assert regret.low is not None
    assert min(regret.value, regret.low) >= 0
    right = measure_fidelity(reference.mean(axis=1), reference, sign=sign, seed=0)
    assert right.regret.value == 0


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=10)
def test_ranks_do_not_mind_a_growing_change_of_scale(seed: int) -> None:
    truth, reference = simulate(12, 1, 0.5, seed)
    plain = measure_fidelity(truth, reference, sign=1, seed=0)
    bent = measure_fidelity(np.exp(truth), reference, sign=1, seed=0)
    assert bent.spearman == plain.spearman
    assert bent.kendall == plain.kendall
    assert bent.top_quarter == plain.top_quarter
    assert bent.regret == plain.regret


@pytest.mark.parametrize("figure", FIGURES)
def test_the_interval_contains_the_figure(figure: str) -> None:
    truth, reference = simulate(24, 2, 0.3, 3)
    estimate = getattr(measure_fidelity(truth, reference, sign=1, seed=0), figure)
    assert estimate.low <= estimate.value <= estimate.high


def test_more_mixtures_make_the_interval_narrower() -> None:
    widths = []
    for n in (10, 80):
        found = measure_fidelity(*simulate(n, 1, 0.5, 1), sign=1, seed=0).spearman
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    true_bias, inside = 0.3, 0
    for seed in range(60):
        truth, reference = simulate(30, 1, 0.5, seed)
        bias = measure_fidelity(truth + true_bias, reference, sign=1, seed=seed).bias
        assert bias.low is not None
        assert bias.high is not None
        inside += bias.low <= true_bias <= bias.high
    assert inside >= 51  # 57 expected


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_scores_are_not_told_from_chance(seed: int) -> None:
    truth, reference = simulate(40, 2, 0.1, seed)
    shuffled = np.random.default_rng(1000 + seed).permutation(truth)
    found = measure_fidelity(shuffled, reference, sign=1, seed=0)
    for estimate in (found.spearman, found.kendall):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < 0 < estimate.high
    assert found.regret.value is not None
    assert found.regret.value > 0


def test_shuffled_scores_agree_with_nothing_on_average() -> None:
    figures = []
    for seed in range(200):
        truth, reference = simulate(12, 1, 0.1, seed)
        shuffled = np.random.default_rng(1000 + seed).permutation(truth)
        figures.append(spearman_rows(shuffled[None], reference.T)[0])
    assert abs(np.mean(figures)) < 0.07


def test_a_constant_proxy_has_no_rank_correlation() -> None:
    found = measure_fidelity(np.ones(6), np.arange(6.0)[:, None], sign=1, seed=0)
    assert found.spearman == found.kendall == Estimate(None)
    assert found.bias.value == pytest.approx(1 - 2.5)


@pytest.mark.parametrize("n", [1, 2])
def test_very_few_mixtures_have_every_figure_that_is_defined(n: int) -> None:
    x = np.arange(float(n))
    found = measure_fidelity(x, np.stack([x, x + 1], axis=1), sign=1, seed=0)
    assert found.regret.value == 0
    assert found.bias.value == -0.5
    assert found.ceiling is None
    assert (found.spearman.value is None) == (n == 1)


def test_the_same_seed_gives_the_same_intervals() -> None:
    question = simulate(12, 2, 0.3, 0)
    first, again, other = (measure_fidelity(*question, sign=1, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.spearman.value == other.spearman.value
    assert first.bias != other.bias


def test_agreement_and_ceiling_worked_by_hand() -> None:
    # seeds rank 1 2 3 4 and 1 2 4 3: ρ = 1 − 6·2/60 = 0.8; two seeds 1.6 / 1.8, its root 0.943
    reference = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 4.0], [4.0, 3.0]])
    found = measure_fidelity(np.arange(4.0), reference, sign=1, seed=0)
    assert found.seed_spearman == pytest.approx(0.8)
    assert found.ceiling == pytest.approx((1.6 / 1.8) ** 0.5)


def test_seeds_that_disagree_have_no_ceiling() -> None:
    reference = np.array([[1.0, 4.0], [2.0, 3.0], [3.0, 2.0], [4.0, 1.0]])
    found = measure_fidelity(np.arange(4.0), reference, sign=1, seed=0)
    assert found.seed_spearman == pytest.approx(-1)
    assert found.ceiling is None


@pytest.mark.parametrize(("k", "noise"), [(2, 0.3), (2, 1.0), (4, 1.0)])
def test_the_ceiling_is_what_the_noiseless_truth_reaches(k: int, noise: float) -> None:
    ceilings, reached = [], []
    for seed in range(15):
        found = measure_fidelity(*simulate(60, k, noise, seed), sign=1, seed=0)
        ceilings.append(found.ceiling)
        reached.append(found.spearman.value)
    assert np.mean(ceilings) == pytest.approx(np.mean(reached), abs=0.04)  # type: ignore[arg-type]


def test_the_noise_of_seeds_is_the_simulated_one() -> None:
    found = measure_fidelity(*simulate(60, 8, 0.25, 0), sign=1, seed=0)
    assert found.seed_noise == pytest.approx(0.25, rel=0.1)


def test_pooled_noise_worked_by_hand() -> None:
    # variances 2 and 8; the single run says nothing
    assert seed_noise([[1.0, 3.0], [0.0, 4.0], [7.0]]) == pytest.approx(5**0.5)
    assert seed_noise([[1.0], [2.0]]) is None
    assert seed_noise([]) is None
    assert seed_noise([[2.0, 2.0]]) == 0


def test_both_ways_to_the_noise_agree() -> None:
    truth, reference = simulate(9, 3, 0.5, 0)
    found = measure_fidelity(truth, reference, sign=1, seed=0)
    assert seed_noise(reference.tolist()) == pytest.approx(found.seed_noise)


def test_every_figure_has_a_name_that_is_tested() -> None:
    found = measure_fidelity(np.arange(3.0), np.arange(3.0)[:, None], sign=1, seed=0)
    estimates = {f.name for f in fields(found) if isinstance(getattr(found, f.name), Estimate)}
    assert estimates == set(FIGURES)
