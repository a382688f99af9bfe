from __future__ import annotations

import numpy as np
import pytest

from mixwise.decision.drift import BestAt
from mixwise.decision.fidelity import Fidelity, measure_fidelity
from mixwise.decision.forecast import ExpectedRanks
from mixwise.decision.trust import (
    CURVATURE_LIMIT,
    LARGE_UPDATE,
    LEVEL_LIMIT,
    Trust,
    curvature_ratio,
    judge_expected,
    judge_measured,
    judge_predicted,
    level_works,
)
from mixwise.mixture import Mixture

TRUTH = np.random.default_rng(0).normal(size=24)


def fidelity_of(proxy: np.ndarray, truth: np.ndarray = TRUTH) -> Fidelity:
    return measure_fidelity(proxy, truth[:, None], sign=1, seed=0)


def measured(
    proxy: np.ndarray,
    truth: np.ndarray = TRUTH,
    *,
    is_calibrated: bool = False,
    n_calibration: int = 0,
    is_continued: bool = False,
) -> Trust | None:
    return judge_measured(
        fidelity_of(proxy, truth),
        float(truth.std()),
        is_calibrated=is_calibrated,
        n_calibration=n_calibration,
        is_continued=is_continued,
    )


def predicted(
    curvature: float, size: float = 0.05, rule: str = "linear", n_calibration: int = 0
) -> Trust:
    return judge_predicted(
        curvature, (0.01, size), rule, n_calibration=n_calibration, n_references=12
    )


def test_a_perfect_proxy_is_trusted_and_nothing_is_to_be_done() -> None:
    verdict = measured(TRUTH)
    assert verdict is not None
    assert (verdict.word, verdict.basis, verdict.is_clear) == ("trust", "measured", True)
    assert verdict.remedies == ()
    assert "over 24 references ρ is 1.00 (1.00 to 1.00); at least 0.90 is" in verdict.reasons[0]


@pytest.mark.parametrize(("shift", "word"), [(0.24, "trust"), (0.26, "trust the ranking only")])
def test_a_shift_of_the_level_costs_trust_in_the_level_alone(shift: float, word: str) -> None:
    verdict = measured(TRUTH + shift * TRUTH.std())
    assert verdict is not None
    assert verdict.word == word
    is_off = shift > LEVEL_LIMIT
    assert any("calibration.mixtures" in remedy for remedy in verdict.remedies) == is_off
    assert f"the mean error is {100 * shift:.0f} % of the standard deviation" in verdict.reasons[1]
    assert "the limit is 25 % (25 % and 0 % for the noise" in verdict.reasons[1]


def test_shuffled_scores_are_not_trusted() -> None:
    verdict = measured(np.random.default_rng(1).permutation(TRUTH))
    assert verdict is not None
    assert (verdict.word, verdict.is_clear) == ("do not trust", True)
    assert any("by a lower learning rate or shorter runs" in text for text in verdict.remedies)


def test_few_references_leave_it_unclear() -> None:
    truth = TRUTH[:7]
    verdict = measured(truth + 0.4 * np.random.default_rng(3).normal(size=7), truth)
    assert verdict is not None
    assert not verdict.is_clear
    assert verdict.remedies[-1].startswith("validate with more mixtures (`validation.mixtures`): 7")


def test_noise_in_the_references_lowers_what_is_asked_for() -> None:
    rng = np.random.default_rng(4)
    noisy = TRUTH[:, None] + 0.35 * rng.normal(size=(24, 2))
    fidelity = measure_fidelity(TRUTH, noisy, sign=1, seed=0)
    assert fidelity.spearman.value is not None
    assert fidelity.ceiling is not None
    spread = float(noisy.mean(axis=1).std())
    verdict = judge_measured(fidelity, spread, is_calibrated=False, n_calibration=0)
    assert verdict is not None
    assert f"at least {0.9 * fidelity.ceiling:.2f} is needed" in verdict.reasons[0]
    assert fidelity.ceiling < 1
    assert verdict.word == "trust"


def test_references_that_do_not_differ_judge_nothing() -> None:
    assert measured(TRUTH, np.zeros(24)) is None


@pytest.mark.parametrize(
    ("curvature", "size", "word"),
    [
        (0.9 * CURVATURE_LIMIT, 0.05, "trust the ranking only"),
        (1.1 * CURVATURE_LIMIT, 0.05, "do not trust"),
        (0.9 * CURVATURE_LIMIT, 1.1 * LARGE_UPDATE, "do not trust"),
    ],
)
def test_theory_alone_never_trusts_the_level(curvature: float, size: float, word: str) -> None:
    verdict = predicted(curvature, size)
    assert (verdict.word, verdict.basis, verdict.is_clear) == (word, "predicted", False)
    assert f"terms vary {curvature:.2f}× as much between mixtures" in verdict.reasons[0]
    assert verdict.remedies[-1].startswith("train 12 references, which measure")
    assert any("no guide" in reason for reason in verdict.reasons) == (size > LARGE_UPDATE)


@pytest.mark.parametrize(
    ("is_calibrated", "n_calibration", "start"),
    [
        (False, 0, "set `calibration.mixtures` to 1 or more: a trained model keeps noise"),
        (False, 2, "read the calibrated score, not the proxy's own: it corrects the level by 2"),
        (True, 2, "train more mixtures for calibration (`calibration.mixtures` is 2)"),
    ],
)
def test_a_wrong_level_is_mended_by_calibration(
    is_calibrated: bool, n_calibration: int, start: str
) -> None:
    verdict = measured(
        TRUTH + TRUTH.std(), is_calibrated=is_calibrated, n_calibration=n_calibration
    )
    assert verdict is not None
    [remedy] = verdict.remedies
    assert remedy.startswith(start)


def test_a_continued_level_is_mended_by_a_run_to_the_end() -> None:
    verdict = measured(TRUTH + TRUTH.std(), is_continued=True)
    assert verdict is not None
    assert verdict.remedies[0].endswith("how far the level that was continued is off")


def test_no_remedy_corrects_the_weights_of_the_merge() -> None:
    """`docs/science.md` §3: that mends the level and spoils the ranks."""
    verdicts = [predicted(curvature, n_calibration=n) for curvature in (0.1, 2.0) for n in (0, 2)]
    for scores in (TRUTH + TRUTH.std(), -TRUTH):
        for is_calibrated, n in ((False, 0), (False, 2), (True, 2)):
            found = measured(scores, is_calibrated=is_calibrated, n_calibration=n)
            assert found is not None
            verdicts.append(found)
    for verdict in verdicts:
        assert verdict.remedies
        assert not [r for r in verdict.remedies if "rule" in r or "centre" in r or "pairs" in r]


def test_a_prediction_for_the_linear_merge_says_that_the_study_uses_another() -> None:
    assert "linear merge, but the study uses `fisher`" in predicted(0.1, rule="fisher").reasons[-1]
    assert not [reason for reason in predicted(0.1).reasons if "linear merge" in reason]


def test_a_perfect_proxy_passes_whatever_the_noise() -> None:
    noisy = TRUTH[:, None] + 2 * np.random.default_rng(5).normal(size=(24, 3))
    fidelity = measure_fidelity(TRUTH, noisy, sign=1, seed=0)
    spread = float(noisy.mean(axis=1).std())
    error = fidelity.mean_absolute_error.value
    assert error is not None
    assert fidelity.noiseless is not None
    assert error > LEVEL_LIMIT * spread
    assert level_works(error, fidelity.noiseless.mean_absolute_error.value or 0, spread)


def test_how_much_is_of_second_order() -> None:
    first = np.array([0.0, 1.0, 2.0])
    assert curvature_ratio(first, 0.3 * first[::-1]) == pytest.approx(0.3)
    assert curvature_ratio(first, np.full(3, 7.0)) == 0
    assert curvature_ratio(np.ones(3), first) == float("inf")


RANKED, UNRANKED = ExpectedRanks(0.95, 0.9, 0.99), ExpectedRanks(0.6, 0.1, 0.9)
SETTLED = BestAt(8, Mixture.uniform(("a", "b")), 0.01)
MOVING = BestAt(8, Mixture.uniform(("a", "b")), 0.4)


@pytest.mark.parametrize(
    ("ranks", "path", "word"),
    [
        (RANKED, (SETTLED,), "trust the ranking only"),
        (RANKED, (), "trust the ranking only"),
        (RANKED, (MOVING,), "do not trust"),
        (UNRANKED, (SETTLED,), "do not trust"),
    ],
)
def test_without_references_ranks_are_foreseen(
    ranks: ExpectedRanks, path: tuple[BestAt, ...], word: str
) -> None:
    verdict = judge_expected(ranks, path, share=0.1)
    assert (verdict.word, verdict.basis, verdict.is_clear) == (word, "predicted", False)
    assert "--verify" in verdict.remedies[-1]
    is_longer = any("train experts twice as long" in remedy for remedy in verdict.remedies)
    assert is_longer == (word == "do not trust")
    place = 0 if ranks is RANKED and path == (MOVING,) else 1  # what decides is said first
    assert "10 % of what the final run reads" in verdict.reasons[place]
    assert ("is not known" in verdict.reasons[place]) == (not path)


def test_a_verdict_on_other_networks_says_where_its_limits_come_from() -> None:
    verdict = judge_expected(RANKED, (SETTLED,), share=0.1, ground="other networks")
    assert verdict.word == "trust the ranking only"
    assert "measured on language models" in verdict.reasons[-1]
    theory = judge_predicted(
        0.1, (0.01,), "linear", n_calibration=0, n_references=12, ground="other networks"
    )
    assert theory.word == "trust the ranking only"
    assert "measured on language models" in theory.reasons[-1]


def test_without_references_no_ranking_of_domains_with_own_heads_is_trusted() -> None:
    verdict = judge_expected(RANKED, (SETTLED,), share=0.1, ground="own heads")
    assert verdict.word == "do not trust"
    assert "a head of its own" in verdict.reasons[0]  # what decides is said first
    assert "twice as long" in verdict.remedies[0]
    theory = judge_predicted(
        0.1, (0.01,), "linear", n_calibration=0, n_references=12, ground="own heads"
    )
    assert theory.word == "do not trust"
    assert "references" in theory.remedies[-1]


def test_a_step_has_no_points_along_which_the_best_mixture_moves() -> None:
    verdict = judge_expected(RANKED, (), share=0.02, is_one_step=True)
    assert verdict.reasons[1].endswith("is not known: a single step has no points along it")


def test_experts_of_the_final_length_cannot_be_longer() -> None:
    verdict = judge_expected(UNRANKED, (), share=1.0)
    assert verdict.remedies[0].startswith("train mixtures for calibration")


def test_short_experts_that_rank_badly_should_be_longer() -> None:
    fidelity = fidelity_of(np.random.default_rng(1).permutation(TRUTH))
    spread = float(TRUTH.std())
    long = judge_measured(fidelity, spread, is_calibrated=False, n_calibration=0)
    short = judge_measured(
        fidelity, spread, is_calibrated=False, n_calibration=0, is_continued=True
    )
    assert long is not None
    assert short is not None
    assert any("shorter runs (" in remedy for remedy in long.remedies)
    assert any("twice as long" in remedy for remedy in short.remedies)
    assert not any("shorter" in remedy for remedy in short.remedies)
