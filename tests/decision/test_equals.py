import numpy as np
import pytest
from tests.decision.tables import OBJECTIVE, SCALE, SPACE, UNIFORM, Formula, peak

from mixwise.decision.calibration import Calibrated, Reference, correct
from mixwise.decision.discrepancy import unexplained
from mixwise.decision.equals import Equals, compare_with_anchor, simplest_between
from mixwise.mixture import Mixture
from mixwise.search.methods.listed import search_listed
from mixwise.search.problem import SearchProblem
from mixwise.search.surrogates.objective_model import fit_surface

POINTS = np.random.default_rng(0).dirichlet(np.ones(3), 20)
MIXTURES = [Mixture(SPACE.domains, tuple(point / point.sum())) for point in POINTS]


def calibrated_by(truth: Formula, n: int, proxy: Formula | None = None) -> Calibrated:
    proxy = proxy or Formula(peak(0.6, 0.3, 0.1))
    problem = SearchProblem(proxy, SPACE, OBJECTIVE, SCALE, None, 0)
    found = search_listed(problem, [*MIXTURES, UNIFORM])
    chosen = MIXTURES[:n]
    pairs = zip(proxy.score(chosen), truth.runs(chosen), strict=True)
    references = [Reference(*pair) for pair in pairs]
    return correct(problem, found, fit_surface(problem, found.scored), (), references)


def test_references_that_agree_tell_mixtures_apart_and_others_do_not() -> None:
    proxy = Formula(peak(0.6, 0.3, 0.1))
    right = calibrated_by(Formula(proxy.value, seeds=(1, 2), noise=0.01), 12)
    wrong = calibrated_by(Formula(peak(0.1, 0.2, 0.7), seeds=(1, 2), noise=0.01), 12)
    assert unexplained(right.trained) < 0.02 < 0.3 < unexplained(wrong.trained)
    for calibrated, is_equal in ((right, False), (wrong, True)):
        [anchor] = proxy.score([UNIFORM])
        best = calibrated.found.best
        equals = compare_with_anchor(calibrated, best, anchor, 0.0)
        assert equals.holds_anchor == is_equal
    assert unexplained(right.trained[:3]) == 0


def test_examples_widen_the_limit() -> None:
    calibrated = calibrated_by(Formula(peak(0.6, 0.3, 0.1)), 12)
    [anchor] = calibrated.problem.scorer.score([UNIFORM])
    narrow = compare_with_anchor(calibrated, calibrated.found.best, anchor, 0.0)
    wide = compare_with_anchor(calibrated, calibrated.found.best, anchor, 3.0)
    assert narrow.behind == wide.behind > 0
    assert wide.deviation == pytest.approx(np.hypot(narrow.deviation, 3.0))
    assert wide.holds_anchor
    assert not narrow.holds_anchor


@pytest.mark.parametrize(("deviation", "is_equal"), [(0.99, False), (1.01, True)])
def test_the_anchor_is_as_good_within_one_deviation(deviation: float, is_equal: bool) -> None:
    equals = Equals(UNIFORM, behind=1.0, deviation=deviation)
    assert equals.holds_anchor == is_equal


def test_between_best_and_anchor_the_nearest_that_is_as_good_is_taken() -> None:
    calibrated = calibrated_by(Formula(peak(0.6, 0.3, 0.1), seeds=(1, 2), noise=0.05), 12)
    [anchor] = calibrated.problem.scorer.score([UNIFORM])
    best = calibrated.found.best
    equals = compare_with_anchor(calibrated, best, anchor, 0.0)
    between = simplest_between(calibrated, best, equals)

    def distance(mixture: Mixture | None) -> float:
        assert mixture is not None
        return float(np.abs(mixture.array - UNIFORM.array).sum())

    assert distance(between) <= distance(best.mixture)
