import pytest
from benchmarks.synthetic import Instance, instance

from mixwise.errors import RecipeError
from mixwise.mixture import MixtureSpace
from mixwise.search.methods.lattice import N_CHECKS, design_lattice, search_lattice
from mixwise.search.problem import SearchProblem


def problem(made: Instance, budget: int | None) -> SearchProblem:
    return SearchProblem(made.scorer, made.space, made.objective, made.scale, budget, 0)


@pytest.mark.parametrize("n", [2, 4, 7])
def test_there_are_as_many_points_as_a_quadratic_has_coefficients(n: int) -> None:
    space = MixtureSpace.whole([f"d{k}" for k in range(n)])
    assert len(design_lattice(space, None, 0)) == n * (n + 1) // 2


def test_a_budget_must_leave_room_for_a_check() -> None:
    space = MixtureSpace.whole("abc")
    assert len(design_lattice(space, 7, 0)) == 6
    with pytest.raises(RecipeError, match=r"`search\.budget` must be at least 7 for the lattice"):
        design_lattice(space, 6, 0)


def test_checks_stop_at_the_budget_or_where_the_maximum_stands_still() -> None:
    made = instance("interior", 4, 1)
    found = search_lattice(problem(made, None))
    assert 10 < len(found.scored) <= 10 + N_CHECKS
    assert len(search_lattice(problem(made, 11)).scored) == 11
    assert found.predicted is not None
