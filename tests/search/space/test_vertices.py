import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from tests.test_mixture import names, spaces

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.space.vertices import list_vertices


def vertices_by_enumeration(space: MixtureSpace) -> set[tuple[float, ...]]:
    """All but one share at a bound, the last one whatever is left."""
    found = set()
    n = len(space.domains)
    for free in range(n):
        others = [i for i in range(n) if i != free]
        for sides in itertools.product((space.lower, space.upper), repeat=n - 1):
            point = [0.0] * n
            for i, side in zip(others, sides, strict=True):
                point[i] = side[i]
            point[free] = 1 - sum(point)
            if space.lower[free] - 1e-9 <= point[free] <= space.upper[free] + 1e-9:
                found.add(tuple(round(abs(share), 6) for share in point))
    return found


def rounded(mixtures: tuple[Mixture, ...]) -> list[tuple[float, ...]]:
    return [tuple(round(share, 6) for share in mixture.shares) for mixture in mixtures]


@pytest.mark.parametrize("n", [2, 3, 12])
def test_vertices_of_the_whole_simplex_are_its_corners_in_order(n: int) -> None:
    corners = tuple(Mixture.single(names(n), name) for name in names(n))
    assert list_vertices(MixtureSpace.whole(names(n))) == corners


def test_vertices_worked_by_hand() -> None:
    space = MixtureSpace(("a", "b", "c"), (0.2, 0.0, 0.0), (1.0, 0.5, 1.0))
    expected = {(1, 0, 0), (0.5, 0.5, 0), (0.2, 0.5, 0.3), (0.2, 0, 0.8)}
    assert set(rounded(list_vertices(space))) == expected


@given(spaces())
@settings(deadline=None, max_examples=200)
def test_vertices_equal_the_enumeration_of_all_bounds(space: MixtureSpace) -> None:
    found = rounded(list_vertices(space))
    assert len(found) == len(set(found))
    assert set(found) == vertices_by_enumeration(space)


@given(spaces(max_domains=4))
@settings(deadline=None, max_examples=100)
def test_vertices_lie_inside_and_none_is_a_mean_of_others(space: MixtureSpace) -> None:
    low, high = np.array(space.lower), np.array(space.upper)
    for vertex in list_vertices(space):
        assert space.contains(vertex)
        between = (vertex.array > low + 1e-9) & (vertex.array < high - 1e-9)
        assert between.sum() <= 1


def test_vertices_stop_at_the_limit() -> None:
    space = MixtureSpace(names(12), (0.0,) * 12, (0.2,) * 12)
    assert len(list_vertices(space, 50)) == 50


def test_domains_with_a_fixed_share_do_not_hide_vertices() -> None:
    n_fixed = 12
    fixed = (0.01,) * n_fixed
    space = MixtureSpace(names(n_fixed + 3), (*fixed, 0, 0, 0), (*fixed, 1, 1, 1))
    assert len(list_vertices(space)) == 3
