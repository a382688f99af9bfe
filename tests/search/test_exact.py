from dataclasses import replace

import numpy as np
import pytest
from benchmarks.synthetic import instance

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.scorer import SLOPES, VALUES, Request
from mixwise.search.exact import ascend, find_gap
from mixwise.search.methods.slopes import search_slopes
from mixwise.search.problem import SearchProblem
from mixwise.search.space.simplex import sample


class Bowl:
    """A loss |λ − c|²: convex, and known everywhere."""

    def __init__(self, middle: tuple[float, ...]) -> None:
        self.middle = np.array(middle)

    def score(self, mixtures: list[Mixture], request: Request = VALUES) -> tuple[Observation, ...]:
        return tuple(self._observe(mixture) for mixture in mixtures)

    def _observe(self, mixture: Mixture) -> Observation:
        away = mixture.array - self.middle
        loss = Measurement(
            "a/loss", np.array([away @ away]), np.ones(1), derivatives=Derivatives(2 * away)
        )
        return Observation(
            mixture, "proxy", "predictions", (), (loss,), 0.0, 0, 0, str(mixture), {}
        )


def bowl(middle: tuple[float, ...], space: MixtureSpace | None = None) -> SearchProblem:
    objective = Objective((Term(Metric("a", "loss", "min"), 1.0),))
    scale = Scale({"a/loss": 1.0}, {"a/loss": 1.0})
    space = space or MixtureSpace.whole(["x", "y", "z"])
    return SearchProblem(Bowl(middle), space, objective, scale, None, 0, is_arithmetic=True)


def scored(problem: SearchProblem, *shares: float) -> Observation:
    [found] = problem.scorer.score([Mixture(problem.space.domains, shares)], SLOPES)
    return found


def test_the_gap_by_hand() -> None:
    problem = bowl((1.0, 0.0, 0.0))
    # at ⅓ each: slopes −2(λ − c) = (4/3, −2/3, −2/3); the way there: (2/3, −1/3, −1/3)
    assert find_gap(problem, scored(problem, 1 / 3, 1 / 3, 1 / 3)) == pytest.approx(4 / 3, abs=1e-6)
    assert find_gap(problem, scored(problem, 1.0, 0.0, 0.0)) == 0


def test_the_gap_ends_at_the_bounds() -> None:
    space = MixtureSpace(("x", "y", "z"), (0.1, 0.1, 0.1), (0.5, 1.0, 1.0))
    problem = bowl((1.0, 0.0, 0.0), space)
    assert find_gap(problem, scored(problem, 0.5, 0.25, 0.25)) == pytest.approx(0, abs=1e-9)
    # from (.4, .3, .3): slopes (1.2, −.6, −.6), and the farthest point is (.5, .4, .1)
    assert find_gap(problem, scored(problem, 0.4, 0.3, 0.3)) == pytest.approx(0.18)


@pytest.mark.parametrize("middle", [(0.2, 0.5, 0.3), (1.0, 0.0, 0.0), (0.9, 0.4, -0.3)])
def test_it_ends_at_the_top(middle: tuple[float, ...]) -> None:
    problem = bowl(middle)
    best = ascend(problem, scored(problem, 0.1, 0.1, 0.8))
    points = sample(problem.space, 2000, seed=1)
    least = ((points - np.array(middle)) ** 2).sum(axis=1).min()
    assert problem.value(best) >= 1 - least - 1e-4
    gap = find_gap(problem, best)
    assert gap is not None
    assert gap < 1e-3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_the_objective_is_concave_nothing_is_better_by_more_than_the_gap(seed: int) -> None:
    problem = bowl(tuple(np.random.default_rng(seed).normal(size=3).tolist()))
    observed = [scored(problem, *row) for row in sample(problem.space, 50, seed=seed).tolist()]
    top = max(map(problem.value, observed))
    for one in observed:
        gap = find_gap(problem, one)
        assert gap is not None
        assert top <= problem.value(one) + gap + 1e-9


def test_a_metric_without_slopes_has_no_gap() -> None:
    problem = bowl((1.0, 0.0, 0.0))
    known = scored(problem, 1.0, 0.0, 0.0)
    [loss] = known.measurements
    assert (
        find_gap(problem, replace(known, measurements=(replace(loss, derivatives=None),))) is None
    )


def test_slopes_end_at_the_exact_top_where_candidates_are_arithmetic() -> None:
    made = instance("interior", 4, 7)
    corners = [Mixture.single(made.space.domains, name) for name in made.space.domains]
    known = made.scorer.score(corners)
    asked = SearchProblem(made.scorer, made.space, made.objective, made.scale, None, 0, known)
    climbed = search_slopes(asked)
    exact = search_slopes(replace(asked, is_arithmetic=True))
    assert asked.value(exact.best) >= asked.value(climbed.best)
    gap = find_gap(asked, exact.best)
    assert gap is not None
    assert gap < 1e-3
    assert len(exact.scored) <= len(climbed.scored) + 1
