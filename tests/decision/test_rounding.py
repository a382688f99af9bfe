from itertools import product

import numpy as np
import pytest
from tests.decision.tables import DOMAINS, OBJECTIVE, SCALE, Formula, peak

from mixwise.decision.recommend import recommend
from mixwise.decision.references import spread_references
from mixwise.decision.rounding import nearest_good
from mixwise.errors import RecipeError
from mixwise.mixture import Limit, Mixture, MixtureSpace
from mixwise.prior import Prior

TENTHS = MixtureSpace(
    DOMAINS, (0.0,) * 3, (1.0,) * 3, (Limit("b >= c", (0.0, 1.0, -1.0), 0.0, None),), 0.1
)
EVERY = [
    Mixture(DOMAINS, tuple(np.array(row) / 10))
    for row in product(range(11), repeat=3)
    if sum(row) == 10 and row[1] >= row[2]
]


@pytest.mark.parametrize("at", [(0.55, 0.25, 0.2), (0.32, 0.31, 0.37), (0.25, 0.6, 0.15)])
def test_the_best_of_the_grid_is_recommended(at: tuple[float, float, float]) -> None:
    value = peak(*at)
    found = recommend(Formula(value), TENTHS, OBJECTIVE, SCALE, prefer="none", method="bayes")
    assert found.mixture in EVERY
    best = max(value(mixture.array) for mixture in EVERY)
    assert value(found.mixture.array) == pytest.approx(best, abs=0.02)
    assert found.rounding is not None
    before = found.rounding.before.array
    assert found.rounding.lost == pytest.approx(value(before) - value(found.mixture.array))


def test_the_neighbours_are_climbed_to_the_best_by_hand() -> None:
    def score(shares: np.ndarray) -> np.ndarray:
        return np.asarray(shares[:, 0])  # a alone counts

    start = Mixture(DOMAINS, (0.43, 0.31, 0.26))
    assert nearest_good(score, TENTHS, start).shares == (1.0, 0.0, 0.0)


def test_the_anchor_and_all_that_is_trained_lie_on_the_grid() -> None:
    flat, truth = peak(0.5, 0.3, 0.2, steepness=0.01), Formula(peak(0.5, 0.3, 0.2))
    found = recommend(
        Formula(flat), TENTHS, OBJECTIVE, SCALE, trainer=truth, n_calibration=4, least_gain=0.0
    )
    assert found.mixture in EVERY
    for reference in found.calibrated.chosen:
        assert reference.proxy.mixture in EVERY
    chosen = spread_references(TENTHS, 6, taken=[], seed=0)
    assert len(set(chosen)) == 6
    assert all(mixture in EVERY for mixture in chosen)


def test_candidates_off_the_grid_are_not_taken_and_subsets_are_refused() -> None:
    off, on = Mixture(DOMAINS, (0.55, 0.25, 0.2)), Mixture(DOMAINS, (0.5, 0.3, 0.2))
    found = recommend(
        Formula(peak(0.55, 0.25, 0.2)),
        TENTHS,
        OBJECTIVE,
        SCALE,
        candidates=[off, on],
        prefer="none",
    )
    assert found.mixture == on
    with pytest.raises(RecipeError, match="`subsets` answers with plain averages"):
        recommend(Formula(peak(0.5, 0.3, 0.2)), TENTHS, OBJECTIVE, SCALE, method="subsets")


def test_a_prior_pulls_as_far_as_its_weight() -> None:
    space = MixtureSpace.whole(DOMAINS)
    prior = Prior(Mixture(DOMAINS, (0.2, 0.2, 0.6)), 1.0)
    value = peak(0.6, 0.3, 0.1)

    def best(prior: Prior | None = None) -> np.ndarray:
        found = recommend(
            Formula(value), space, OBJECTIVE, SCALE, prefer="none", method="bayes", prior=prior
        )
        return found.mixture.array

    points = np.random.default_rng(0).dirichlet(np.ones(3), 20_000)
    heights = np.array([value(point) for point in points]) - prior.penalty(points)
    assert best() == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    assert best(prior) == pytest.approx(points[heights.argmax()], abs=0.03)


def test_what_is_expected_of_training_is_told_without_the_prior() -> None:
    space, value = MixtureSpace.whole(DOMAINS), peak(0.6, 0.3, 0.1)
    prior = Prior(Mixture(DOMAINS, (0.2, 0.2, 0.6)), 1.0)
    found = recommend(
        Formula(value), space, OBJECTIVE, SCALE, prefer="none", method="bayes", prior=prior
    )
    assert found.forecast.expected == pytest.approx(value(found.mixture.array))
