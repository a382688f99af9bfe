import numpy as np
import pytest
from benchmarks.synthetic import instance

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.problem import (
    SearchProblem,
    distinct,
    mixture_of,
    require_budget,
    shares_of,
)

MADE = instance("interior", 3, 0)
PROBLEM = SearchProblem(MADE.scorer, MADE.space, MADE.objective, MADE.scale, None, 0)
MIXTURES = [Mixture.single(MADE.space.domains, name) for name in MADE.space.domains]
SCORED = MADE.scorer.score(MIXTURES)


def test_values_are_those_of_the_objective() -> None:
    values = PROBLEM.metric_values(SCORED)
    assert values.shape == (3, len(MADE.objective.metrics))
    expected = MADE.objective.aggregate(values, MADE.scale)
    assert [PROBLEM.value(o) for o in SCORED] == pytest.approx(expected.tolist())
    assert PROBLEM.best(SCORED) is SCORED[int(expected.argmax())]
    assert PROBLEM.value_range(SCORED) == pytest.approx(np.ptp(expected))


def test_only_what_lies_inside_the_space_is_best() -> None:
    domains = MADE.space.domains
    inside = MixtureSpace(domains, (0.5, 0.0, 0.0), (1.0, 1.0, 1.0))
    asked = SearchProblem(MADE.scorer, inside, MADE.objective, MADE.scale, None, 0)
    assert mixture_of(asked.best(SCORED)) == MIXTURES[0]


def test_shares_are_rows_and_mixtures_are_taken_once() -> None:
    assert shares_of(SCORED).tolist() == np.eye(3).tolist()
    assert distinct([MIXTURES[1], MIXTURES[0], MIXTURES[1]]) == (MIXTURES[1], MIXTURES[0])


def test_a_budget_below_the_least_names_it() -> None:
    require_budget(None, 5, "the method `mine`")
    require_budget(5, 5, "the method `mine`")
    with pytest.raises(RecipeError, match="must be at least 5"):
        require_budget(4, 5, "the method `mine`")
