from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.polytope.families import random_space

from mixwise.mixture import Limit, MixtureSpace
from mixwise.polytope.corners import cut_corners, some_corners
from mixwise.polytope.region import Region
from mixwise.search.space.simplex import sample
from mixwise.search.space.vertices import extreme_points, list_vertices

HALF = MixtureSpace(
    tuple("abc"), (0.0,) * 3, (1.0,) * 3, (Limit("a + b", (1.0, 1.0, 0.0), 0.5, 0.75),)
)


def every_corner(region: Region) -> set[tuple[float, ...]]:
    """The slow way: solve for every choice of planes, keep what lies within all of them."""
    n = len(region.lower)
    sides, ends = region.half_spaces
    matrix = np.concatenate([-np.eye(n), np.eye(n), sides])
    limits = np.concatenate([-region.lower, region.upper, ends])
    found = set()
    for chosen in combinations(range(len(matrix)), n - 1):
        system = np.concatenate([matrix[list(chosen)], np.ones((1, n))])
        if np.linalg.matrix_rank(system, tol=1e-9) == n:
            point = np.linalg.solve(system, np.append(limits[list(chosen)], 1.0))
            if (matrix @ point <= limits + 1e-8).all():
                found.add(tuple(np.round(point, 6) + 0.0))
    return found


def test_the_corners_of_a_strip_by_hand() -> None:
    found = {tuple(point) for point in cut_corners(np.eye(3), HALF.region, 256).round(9)}
    assert found == {(0.5, 0, 0.5), (0, 0.5, 0.5), (0.75, 0, 0.25), (0, 0.75, 0.25)}


def test_an_equality_leaves_the_corners_of_its_face() -> None:
    face = MixtureSpace(
        tuple("abc"), (0.0,) * 3, (1.0,) * 3, (Limit("a = b", (1.0, -1.0, 0.0), 0.0, 0.0),)
    )
    found = {tuple(vertex.shares) for vertex in list_vertices(face)}
    assert found == {(0.5, 0.5, 0.0), (0.0, 0.0, 1.0)}


@given(seed=st.integers(0, 10_000), n_domains=st.integers(2, 4), n_limits=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_the_corners_are_those_of_all_choices_of_planes(
    seed: int, n_domains: int, n_limits: int
) -> None:
    space = random_space(seed, n_domains, n_limits)
    slow = np.array(sorted(every_corner(space.region)))
    found = np.array([vertex.shares for vertex in list_vertices(space)])
    for one, other in ((slow, found), (found, slow)):
        gaps = np.abs(one[:, None] - other).max(axis=2).min(axis=1)
        assert gaps.max() < 1e-5


def test_programs_find_corners_of_the_region() -> None:
    slow = every_corner(HALF.region)
    assert {tuple(point) for point in some_corners(HALF.region, 20, seed=0).round(6)} <= slow


def test_too_many_corners_are_sampled_and_reach_every_domain() -> None:
    n = 32
    names = tuple(f"d{i}" for i in range(n))
    row = tuple(1.0 if i < n // 2 else 0.0 for i in range(n))
    space = MixtureSpace(names, (0.0,) * n, (0.5,) * n, (Limit("first half", row, 0.3, 0.6),))
    points = extreme_points(space, 64, seed=0)
    assert points.max(axis=0) == pytest.approx(0.5)
    assert space.region.holds(points).all()
    assert space.region.holds(sample(space, 200, seed=1)).all()
