import functools
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.decision.agreement import Figures, spearman_rows
from mixwise.decision.fidelity import Array, Estimate, Fidelity, measure_fidelity, seed_noise
from mixwise.errors import EvaluationError

FIGURES = tuple(field.name for field in fields(Figures))
RANKS = ("spearman", "kendall", "top_quarter")


def simulate(n: int, k: int, noise: float, seed: int) -> tuple[Array, Array]:
    """A noiseless truth, and k noisy runs of it."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    return truth, truth[:, None] + noise * rng.normal(size=(n, k))


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


def test_a_perfect_proxy_is_perfect() -> None:
    truth = np.arange(20.0)
    found = measure_fidelity(truth, truth[:, None], sign=1, seed=0)
    assert found.spearman == Estimate(1, 1, 1)
    assert found.kendall == Estimate(1, 1, 1)
    assert found.regret == found.bias == found.mean_absolute_error == Estimate(0, 0, 0)
    assert found.seed_noise is found.seed_spearman is found.ceiling is found.noiseless is None


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


def _quick(proxy: Array, reference: Array, n_draws: int = 100) -> Fidelity:
    """The same with few draws, for means over many data sets."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_N_BOOTSTRAP", "_N_SIMULATED"):
            patch.setattr(f"mixwise.decision.fidelity.{name}", n_draws)
        return measure_fidelity(proxy, reference, sign=1, seed=0)


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
        bias = _quick(truth + true_bias, reference, n_draws=400).bias
        assert bias.low is not None
        assert bias.high is not None
        inside += bias.low <= true_bias <= bias.high
    assert inside >= 51  # 57 expected


@pytest.mark.parametrize("seed", range(3))
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
    assert found.seed_spearman is None
    assert (found.spearman.value is None) == (found.ceiling is None) == (n == 1)


def test_the_same_seed_gives_the_same_intervals() -> None:
    question = simulate(12, 2, 0.3, 0)
    first, again, other = (measure_fidelity(*question, sign=1, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.spearman.value == other.spearman.value
    assert first.bias != other.bias


def test_agreement_of_seeds_worked_by_hand() -> None:
    # seeds rank 1 2 3 4 and 1 2 4 3: ρ = 1 − 6·2/60
    reference = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 4.0], [4.0, 3.0]])
    found = measure_fidelity(np.arange(4.0), reference, sign=1, seed=0)
    assert found.seed_spearman == pytest.approx(0.8)


def test_agreement_of_unequal_seeds_is_weighted_by_the_mixtures_that_have_both() -> None:
    # seeds 1 and 2 agree on all five; 1 and 3, as 2 and 3, on three of them, the wrong way round
    nan = np.nan
    thirds = (7.0, 6.0, 5.0, nan, nan)
    reference = np.array([[k, k, third] for k, third in enumerate(thirds)], dtype=np.float64)
    found = measure_fidelity(np.arange(5.0), reference, sign=1, seed=0)
    assert found.seed_spearman == pytest.approx((5 - 3 - 3) / 11)


def test_seeds_that_disagree_leave_no_ceiling() -> None:
    reference = np.array([[1.0, 4.0], [2.0, 3.0], [3.0, 2.0], [4.0, 1.0]])
    found = measure_fidelity(np.arange(4.0), reference, sign=1, seed=0)
    assert found.seed_spearman == pytest.approx(-1)
    assert found.ceiling is None
    assert found.noiseless is not None
    assert found.noiseless.bias.value == pytest.approx(0, abs=0.1)


@functools.cache
def allowed_and_reached(k: int, noise: float) -> list[tuple[Figures[Estimate], Fidelity]]:
    """What noise is said to allow, and what the noiseless truth reaches, in many data sets."""
    found = [_quick(*simulate(36, k, noise, seed)) for seed in range(30)]
    return [(each.noiseless, each) for each in found if each.noiseless is not None]


@pytest.mark.parametrize(("k", "noise"), [(2, 0.3), (2, 1.0), (4, 1.0)])
@pytest.mark.parametrize("figure", FIGURES)
def test_noise_allows_what_the_noiseless_truth_reaches(k: int, noise: float, figure: str) -> None:
    pairs = allowed_and_reached(k, noise)
    allowed = [getattr(a, figure).value for a, _ in pairs]
    reached = [getattr(r, figure).value for _, r in pairs]
    error = 3 * float(np.std(reached)) / len(pairs) ** 0.5
    assert np.mean(allowed) == pytest.approx(np.mean(reached), abs=error + 0.01)


def test_the_noiseless_error_is_that_of_a_mean_of_normal_seeds() -> None:
    _, reference = simulate(60, 5, 0.25, 0)
    reference[30:, 2:] = np.nan
    found = measure_fidelity(reference[:, 0], reference, sign=1, seed=0)
    assert found.noiseless is not None
    assert found.seed_noise is not None
    formula = found.seed_noise * (2 / np.pi) ** 0.5 * (5**-0.5 + 2**-0.5) / 2
    assert found.noiseless.mean_absolute_error.value == pytest.approx(formula, rel=0.05)


def test_seeds_without_noise_allow_everything() -> None:
    reference = np.repeat(np.arange(12.0)[:, None], 2, axis=1)
    found = measure_fidelity(np.zeros(12), reference, sign=1, seed=0)
    assert found.noiseless is not None
    perfect = measure_fidelity(np.arange(12.0), reference, sign=1, seed=0)
    for name in RANKS:
        assert getattr(found.noiseless, name).value == pytest.approx(1)
    for name in ("mean_absolute_error", "bias", "regret", "regret_of_five"):
        assert getattr(found.noiseless, name).value == pytest.approx(0, abs=1e-12)
        assert getattr(perfect, name).value == 0


def test_lists_and_arrays_with_gaps_are_the_same_references() -> None:
    lists = [[1.0, 3.0], [2.0], [4.0, 6.0, 8.0], [5.0]]
    nan = np.nan
    gaps = np.array([[1.0, 3.0, nan], [2.0, nan, nan], [4.0, 6.0, 8.0], [5.0, nan, nan]])
    one, other = (measure_fidelity(np.arange(4.0), r, sign=1, seed=0) for r in (lists, gaps))
    assert one == other
    assert (one.n_seeds, one.n_runs) == (1, 7)
    assert one.seed_noise == pytest.approx(((2 + 8) / 3) ** 0.5)
    # seeds shift by −2, 0, 2 without any noise of a mixture's own: the truth is 3, 4, 6, 7
    assert one.bias.value == pytest.approx((-3 - 3 - 4 - 4) / 4)
    assert one.spearman.value == pytest.approx(1)
    assert one.shared_noise == pytest.approx(2)


def test_a_shift_that_all_mixtures_share_does_not_touch_ranks() -> None:
    truth, reference = simulate(40, 3, 0.2, 0)
    still = measure_fidelity(truth, reference, sign=1, seed=0)
    moved = measure_fidelity(truth, reference + np.array([-2.0, 0.0, 2.0]), sign=1, seed=0)
    assert still.noiseless is not None
    assert moved.noiseless is not None
    for name in (*RANKS, "regret"):
        assert getattr(moved, name).value == pytest.approx(getattr(still, name).value)
        expected = getattr(still.noiseless, name).value
        assert getattr(moved.noiseless, name).value == pytest.approx(expected)
    assert moved.shared_noise == pytest.approx(2, rel=0.05)
    assert still.shared_noise == pytest.approx(0, abs=0.06)
    assert still.noiseless.mean_absolute_error.value == pytest.approx(0.2 * 0.8 / 3**0.5, rel=0.2)
    assert moved.noiseless.mean_absolute_error.value == pytest.approx(2 * 0.8 / 3**0.5, rel=0.1)


def test_a_mixture_with_other_seeds_is_not_put_ahead_by_them() -> None:
    truth = np.arange(8.0)
    reference = truth[:, None] + np.array([5.0, -1.0, -4.0])
    reference[4:, 2] = np.nan  # plain means would lift these by 2
    found = measure_fidelity(truth, reference, sign=1, seed=0)
    assert found.mean_absolute_error.value == pytest.approx(0)
    plain = measure_fidelity(truth, np.nanmean(reference, axis=1)[:, None], sign=1, seed=0)
    assert plain.mean_absolute_error.value == pytest.approx(1)


def test_seeds_that_never_meet_are_left_as_they_are() -> None:
    nan = np.nan
    reference = np.array([[1.0, nan], [nan, 2.0], [3.0, nan]])
    found = measure_fidelity(np.array([1.0, 2.0, 3.0]), reference, sign=1, seed=0)
    assert found.mean_absolute_error.value == 0
    assert found.noiseless is found.seed_noise is found.shared_noise is None


@pytest.mark.parametrize(
    ("reference", "came"),
    [([[1.0], []], "1 have one"), ([[1.0]], "1 have one"), ([[1.0], [np.nan]], "1 have one")],
)
def test_a_mixture_without_reference_is_refused(reference: list[list[float]], came: str) -> None:
    with pytest.raises(EvaluationError, match=f"each of the 2 mixtures .* but {came}"):
        measure_fidelity(np.arange(2.0), reference, sign=1, seed=0)


def test_chance_is_centred_on_nothing_and_holds_what_shuffling_gives() -> None:
    truth, reference = simulate(40, 2, 0.1, 0)
    chance = measure_fidelity(truth, reference, sign=1, seed=0).chance
    for name, width in (("spearman", 1.96 / 39**0.5), ("top_quarter", 1.96 / 9**0.5)):
        band = getattr(chance, name)
        assert band.value == pytest.approx(0, abs=0.03)
        assert band.high == pytest.approx(width, abs=0.08)
        assert band.low == pytest.approx(-width, abs=0.08)


def test_chance_keeps_the_level_and_loses_the_pick() -> None:
    truth, reference = simulate(60, 2, 0.1, 0)
    found = measure_fidelity(truth + 3, reference, sign=1, seed=0)
    assert found.chance.bias.value == pytest.approx(found.bias.value)
    means = reference.mean(axis=1)
    random_pick = means.max() - means.mean()
    assert found.chance.regret.value == pytest.approx(random_pick, rel=0.08)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_scores_lie_in_the_band_of_chance(seed: int) -> None:
    inside = 0
    for draw in range(20):
        truth, reference = simulate(20, 2, 0.1, 100 * seed + draw)
        shuffled = np.random.default_rng(draw).permutation(truth)
        found = _quick(shuffled, reference)
        inside += found.chance.spearman.low <= found.spearman.value <= found.chance.spearman.high  # type: ignore[operator]
    assert inside >= 15  # 19 expected


def test_the_noise_of_seeds_is_the_simulated_one() -> None:
    found = measure_fidelity(*simulate(60, 8, 0.25, 0), sign=1, seed=0)
    assert found.seed_noise == pytest.approx(0.25, rel=0.1)


def test_pooled_noise_worked_by_hand() -> None:
    # variances 2 and 8; then 2 and, with three seeds, twice 4; a single run says nothing
    assert seed_noise([[1.0, 3.0], [0.0, 4.0], [7.0]]) == pytest.approx(5**0.5)
    assert seed_noise([[1.0, 3.0], [0.0, 2.0, 4.0]]) == pytest.approx(((2 + 2 * 4) / 3) ** 0.5)
    assert seed_noise([[1.0], [2.0]]) is None
    assert seed_noise([]) is None
    assert seed_noise([[2.0, 2.0]]) == 0


def test_both_ways_to_the_noise_agree() -> None:
    truth, reference = simulate(9, 3, 0.5, 0)
    found = measure_fidelity(truth, reference, sign=1, seed=0)
    assert seed_noise(reference.tolist()) == pytest.approx(found.seed_noise)


def test_fidelity_has_every_figure() -> None:
    found = measure_fidelity(np.arange(3.0), np.arange(3.0)[:, None], sign=1, seed=0)
    estimates = {f.name for f in fields(found) if isinstance(getattr(found, f.name), Estimate)}
    assert estimates == set(FIGURES)
