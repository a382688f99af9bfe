import pytest
from benchmarks.synthetic import Instance, instance

from mixwise.errors import RecipeError
from mixwise.mixture import MixtureSpace
from mixwise.search.methods.mergemix import N_POINTS, design_mergemix, search_mergemix
from mixwise.search.problem import SearchProblem

SPACE = MixtureSpace.whole("abcd")


def problem(made: Instance, budget: int | None) -> SearchProblem:
    return SearchProblem(made.scorer, made.space, made.objective, made.scale, budget, 0)


def test_the_paper_scores_forty_points() -> None:
    design = design_mergemix(SPACE, None, 0)
    assert len(design) == N_POINTS - 1
    assert len({str(mixture) for mixture in design}) == N_POINTS - 1
    found = search_mergemix(problem(instance("interior", 4, 0), None))
    assert len(found.scored) == N_POINTS


def test_the_smallest_budget_has_corners_centre_and_one_check() -> None:
    assert len(design_mergemix(SPACE, 6, 0)) == 5
    with pytest.raises(RecipeError, match=r"`search\.budget` must be at least 6 for the method"):
        design_mergemix(SPACE, 5, 0)


def test_the_best_that_was_scored_is_recommended() -> None:
    asked = problem(instance("face", 4, 2), 20)
    found = search_mergemix(asked)
    assert asked.value(found.best) == max(asked.value(o) for o in found.scored)
