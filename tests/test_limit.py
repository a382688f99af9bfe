import numpy as np
import pytest

from mixwise.errors import RecipeError
from mixwise.limit import Limit, rules_of
from mixwise.mixture import MixtureSpace
from mixwise.search.space.designs import low_discrepancy
from mixwise.search.space.vertices import list_vertices

NAMES = tuple("abcd")


def space_of(*limits: Limit) -> MixtureSpace:
    return MixtureSpace(NAMES, (0.0,) * 4, (1.0,) * 4, limits)


def fixed(name: str, share: float) -> Limit:
    return Limit(name, tuple(float(each == name) for each in NAMES), share, share)


@pytest.mark.parametrize(
    ("limit", "sides"),
    [
        (Limit("joint", (1, 1, 0, 0), 0.0, 1.0), (None, None)),
        (Limit("cost", (5, 2, 1, 0), None, 5.0), (None, None)),
        (Limit("cost", (5, 2, 1, 1), 1.0, 4.9), (None, 4.9)),
        (Limit("tie", (1, -1, 0, 0), 0.0, None), (0.0, None)),
    ],
)
def test_only_sides_that_cut_something_off_are_rules(
    limit: Limit, sides: tuple[float | None, float | None]
) -> None:
    assert limit.cutting == sides
    assert len(rules_of(space_of(limit))) == sum(side is not None for side in sides)


def test_a_fixed_share_is_called_by_what_fixes_it_and_equal_bounds_by_theirs() -> None:
    bounds = (0.2, 0.1, 0.0, 0.0), (0.2, 0.1, 1.0, 1.0)
    assert [
        rule.text for rule in rules_of(MixtureSpace(NAMES, *bounds, fixed_by={"a": "share"}))
    ] == [
        "`a` = 0.2 (share)",
        "`a` = 0.2 (share)",
        "`b` ≥ 0.1 (min_share)",
        "`b` ≤ 0.1 (max_share or repetition)",
    ]


def test_limits_that_rounding_leaves_no_room_are_met_as_nearly_as_can_be() -> None:
    space = space_of(*(fixed(name, 0.333333) for name in "abc"), fixed("d", 0.0))
    corners = list_vertices(space)
    assert corners
    for corner in corners:
        assert corner.array == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0], abs=1e-6)
    assert space.contains(space.mixture(np.array([1.0, 0, 0, 0])))


def test_a_nearest_mixture_in_a_sliver_is_near() -> None:
    joint = Limit("a + b >= 0.7", (1, 1, 0, 0), 0.7, None)
    space = space_of(joint, Limit("c >= 0.3000005", (0, 0, 1, 0), 0.3000005, None))
    wanted = np.array([0.5, 0.2, 0.3, 0.0])
    assert space.mixture(wanted).array == pytest.approx(wanted, abs=1e-6)


def test_limits_that_miss_each_other_by_more_clash() -> None:
    with pytest.raises(RecipeError, match=r"`a` .≥ 0\.3001.; `a most` .≤ 0\.3."):
        space_of(fixed("a", 0.3001), Limit("a most", (1, 0, 0, 0), None, 0.3))


def test_rounded_shares_keep_limits_to_a_billionth() -> None:
    tied = Limit("a = 2 b", (1, -2, 0, 0), 0.0, 0.0)
    space = space_of(tied, Limit("c <= 1/7", (0, 0, 1, 0), None, 1 / 7))
    rng = np.random.default_rng(0)
    for point in rng.dirichlet(np.ones(4), 50):
        near = space.rounded(space.mixture(point).array, 7)
        assert max(limit.missed(near.array) / limit.scale for limit in space.limits) < 2e-9


def test_one_mixture_is_proposed_once() -> None:
    space = space_of(*(fixed(name, 0.25) for name in "abc"))
    assert len(low_discrepancy(space, 40, seed=0)) == 1
