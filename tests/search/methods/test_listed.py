import numpy as np
import pytest
from tests.decision.tables import OBJECTIVE, SCALE, SPACE, Formula, peak

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.methods.listed import search_listed
from mixwise.search.problem import SearchProblem

GRID = [(a, b, 10 - a - b) for a in range(11) for b in range(11 - a)]
CANDIDATES = [Mixture(SPACE.domains, tuple(np.array(point) / 10)) for point in GRID]
TRUTH = peak(0.3, 0.6, 0.1)


def problem(budget: int | None) -> SearchProblem:
    return SearchProblem(Formula(TRUTH), SPACE, OBJECTIVE, SCALE, budget, 0)


def test_without_a_budget_all_are_scored() -> None:
    found = search_listed(problem(None), CANDIDATES)
    assert len(found.scored) == len(CANDIDATES) == 66
    assert found.best.mixture == Mixture(SPACE.domains, (0.3, 0.6, 0.1))


def test_with_a_budget_the_best_is_found_in_a_fifth() -> None:
    found = search_listed(problem(13), CANDIDATES)
    assert len({str(o.mixture) for o in found.scored}) == 13
    assert found.best.mixture == Mixture(SPACE.domains, (0.3, 0.6, 0.1))


def test_candidates_outside_the_space_are_left_out() -> None:
    narrow = MixtureSpace(SPACE.domains, (0.5, 0.0, 0.0), (1.0, 1.0, 1.0))
    here = SearchProblem(Formula(TRUTH), narrow, OBJECTIVE, SCALE, None, 0)
    found = search_listed(here, CANDIDATES)
    assert all(o.mixture is not None and o.mixture.array[0] >= 0.5 for o in found.scored)
    with pytest.raises(RecipeError, match="none of the candidates lies within the bounds"):
        search_listed(here, [Mixture.single(SPACE.domains, "b")])
