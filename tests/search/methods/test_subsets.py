import itertools

import pytest

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.methods.subsets import design_subsets, subsets


def names(n: int) -> tuple[str, ...]:
    return tuple(f"d{i}" for i in range(n))


def test_subsets_of_three_domains_worked_by_hand() -> None:
    third = (0.333333334, 0.333333333, 0.333333333)
    assert [m.shares for m in subsets(names(3))] == [
        (1, 0, 0),
        (0.5, 0.5, 0),
        (0, 1, 0),
        (0, 0.5, 0.5),
        third,
        (0.5, 0, 0.5),
        (0, 0, 1),
    ]


@pytest.mark.parametrize("n", [2, 5, 9])
def test_neighbours_differ_by_one_domain(n: int) -> None:
    supports = [set(m.support) for m in subsets(names(n))]
    assert all(len(left ^ right) == 1 for left, right in itertools.pairwise(supports))


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_there_are_two_to_the_n_less_one(n: int) -> None:
    assert len(subsets(names(n))) == len({m.support for m in subsets(names(n))}) == 2**n - 1


@pytest.mark.parametrize("n", [13, 40])
def test_too_many_domains_name_the_alternatives(n: int) -> None:
    rule = f"takes at most 12 domains, but there are {n}: use the method `lattice` or `mergemix`"
    with pytest.raises(RecipeError, match=rule):
        subsets(names(n))


def test_subsets_outside_the_bounds_are_scored_too() -> None:
    space = MixtureSpace(names(3), (0.0,) * 3, (0.5,) * 3)
    assert design_subsets(space, None, 0) == subsets(names(3))


def test_bounds_that_no_subset_satisfies_are_told() -> None:
    space = MixtureSpace(names(2), (0.6, 0.1), (0.9, 0.4))
    with pytest.raises(
        RecipeError, match=r"satisfies the limits of the search: widen them or use the"
    ):
        design_subsets(space, None, 0)


def test_a_budget_below_the_number_of_subsets_is_told() -> None:
    with pytest.raises(RecipeError, match="at least 7 for all subsets of 3 domains, but got 6"):
        design_subsets(MixtureSpace.whole(names(3)), 6, 0)
    assert len(design_subsets(MixtureSpace.whole(names(3)), 7, 0)) == 7


def test_the_seed_decides_nothing() -> None:
    space = MixtureSpace.whole(names(4))
    assert design_subsets(space, None, 1) == design_subsets(space, None, 2)
    assert isinstance(design_subsets(space, None, 1)[0], Mixture)
