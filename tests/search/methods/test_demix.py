import numpy as np
import pytest
from benchmarks.synthetic import Instance, instance

from mixwise.errors import RecipeError
from mixwise.mixture import MixtureSpace
from mixwise.search.methods.demix import design_demix, search_demix
from mixwise.search.problem import SearchProblem

SPACE = MixtureSpace.whole("abcd")


def problem(made: Instance, budget: int | None) -> SearchProblem:
    return SearchProblem(made.scorer, made.space, made.objective, made.scale, budget, 0)


def test_the_paper_scores_64_and_32_and_16() -> None:
    made = instance("interior", 4, 0)
    found = search_demix(problem(made, None))
    assert len(design_demix(SPACE, None, 0)) == 64
    assert len(found.scored) == 112
    assert len({str(o.mixture) for o in found.scored}) == 112


@pytest.mark.parametrize(("budget", "first"), [(7, 4), (28, 16), (56, 32), (224, 128)])
def test_rounds_keep_their_proportions(budget: int, first: int) -> None:
    assert len(design_demix(SPACE, budget, 0)) == first


def test_later_rounds_are_better_than_the_first() -> None:
    made = instance("face", 4, 0)
    asked = problem(made, 56)
    values = [asked.value(o) for o in search_demix(asked).scored]
    assert np.mean(values[32:48]) > np.mean(values[:32]) + 0.3 * np.std(values[:32])


def test_the_last_mixture_is_a_mean_of_the_best_predicted() -> None:
    made = instance("interior", 4, 0)
    found = search_demix(problem(made, 56))
    last = found.scored[-1].mixture
    assert last is not None
    assert min(last.shares) > 0.02


def test_a_budget_below_three_rounds_is_told() -> None:
    with pytest.raises(RecipeError, match="at least 7 for three rounds of the method `demix`"):
        design_demix(SPACE, 6, 0)
