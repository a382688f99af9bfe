from dataclasses import replace

import numpy as np
import pytest
from tests.decision.tables import OBJECTIVE, SCALE, SPACE, UNIFORM, Formula, peak

from mixwise.decision.calibration import Calibrated, Reference, correct
from mixwise.decision.forecast import draw_missed, expect_ranks, forecast
from mixwise.extrapolation import ContinuationError
from mixwise.search.methods.listed import search_listed
from mixwise.search.problem import SearchProblem
from mixwise.search.surrogates.objective_model import fit_surface

POINTS = np.random.default_rng(1).dirichlet(np.ones(3), 16)
MIXTURES = [SPACE.rounded(point, 3) for point in POINTS]


def calibrated_by(n: int, *, level: float = 0.0) -> Calibrated:
    """The truth lies lower than the proxy by a level that vanishes at the corners."""
    proxy = Formula(peak(0.6, 0.3, 0.1))
    truth = Formula(
        lambda shares: proxy.value(shares) - level * 1.5 * (1 - float((shares**2).sum())),
        seeds=(1, 2),
        noise=0.02,
    )
    problem = SearchProblem(proxy, SPACE, OBJECTIVE, SCALE, None, 0)
    found = search_listed(problem, [*MIXTURES, UNIFORM])
    chosen = MIXTURES[:n]
    pairs = zip(proxy.score(chosen), truth.runs(chosen), strict=True)
    references = [Reference(*pair) for pair in pairs]
    return correct(problem, found, fit_surface(problem, found.scored), references)


def test_without_a_reference_the_proxy_is_expected_and_misses_as_is_usual() -> None:
    calibrated = calibrated_by(0)
    best = calibrated.found.best
    found = forecast(calibrated, best, n_seeds=2)
    assert found.expected == calibrated.problem.value(best)
    assert found.interval[1] - found.expected == pytest.approx(found.expected - found.interval[0])
    assert draw_missed(calibrated, calibrated.found.scored).std() > 0


def test_what_continuing_may_miss_widens_what_is_expected() -> None:
    plain = calibrated_by(0)
    continued = replace(plain, problem=replace(plain.problem, continued=ContinuationError(0.5)))
    best = plain.found.best
    narrow, wide = (forecast(c, best, n_seeds=2).interval for c in (plain, continued))
    assert wide[1] - wide[0] > narrow[1] - narrow[0]
    levels = replace(plain, problem=replace(plain.problem, continued=ContinuationError(0, 0.5)))
    assert forecast(levels, best, n_seeds=2).interval[1] > narrow[1]
    assert expect_ranks(levels).middle == pytest.approx(expect_ranks(plain).middle, abs=0.02)
    assert expect_ranks(continued).middle < expect_ranks(plain).middle
    assert expect_ranks(plain).low <= expect_ranks(plain).middle <= expect_ranks(plain).high <= 1


def test_the_level_is_learned_and_the_interval_holds_the_truth() -> None:
    calibrated = calibrated_by(8, level=0.5)
    best = calibrated.found.best
    found = forecast(calibrated, best, n_seeds=2)
    assert best.mixture is not None
    truth = calibrated.problem.value(best) - 0.75 * (1 - float((best.mixture.array**2).sum()))
    assert found.expected == pytest.approx(truth, abs=0.05)
    assert found.interval is not None
    assert found.interval[0] < truth < found.interval[1]
    one = forecast(calibrated, best, n_seeds=1).interval
    assert one is not None
    assert one[1] - one[0] > found.interval[1] - found.interval[0]  # a single run is noisier


def test_draws_have_the_moments_of_the_posterior() -> None:
    calibrated = calibrated_by(4, level=0.5)
    assert calibrated.discrepancy is not None
    scored = calibrated.found.scored
    draws = draw_missed(calibrated, scored)
    shares = np.array([o.mixture.shares for o in scored if o.mixture is not None])
    mean, deviation = calibrated.discrepancy.predict(shares)
    assert draws.shape == (1000, len(scored))
    assert draws.mean(axis=0) == pytest.approx(mean, abs=4 * deviation.max() / np.sqrt(1000))
