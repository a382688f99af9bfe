import pytest
from benchmarks.synthetic import Instance, instance

from mixwise.search.methods.random import design_random, search_random
from mixwise.search.problem import SearchProblem


def problem(made: Instance, budget: int | None) -> SearchProblem:
    return SearchProblem(made.scorer, made.space, made.objective, made.scale, budget, 0)


@pytest.mark.parametrize(("budget", "n"), [(None, 40), (5, 5)])
def test_random_search_scores_its_budget_and_keeps_the_best(budget: int | None, n: int) -> None:
    made = instance("interior", 4, 0)
    asked = problem(made, budget)
    found = search_random(asked)
    assert [o.mixture for o in found.scored] == list(design_random(made.space, budget, 0))
    assert len(found.scored) == n
    assert asked.value(found.best) == max(asked.value(o) for o in found.scored)
