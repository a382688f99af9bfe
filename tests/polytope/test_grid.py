from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.polytope.families import random_space

from mixwise.mixture import Limit, MixtureSpace
from mixwise.polytope.grid import has_point, nearest_on_grid

THIRD = MixtureSpace(
    tuple("abc"), (0.0,) * 3, (1.0,) * 3, (Limit("a = 2 b", (1.0, -2.0, 0.0), 0.0, 0.0),)
)


def test_largest_remainders_where_nothing_is_broken() -> None:
    region = MixtureSpace.whole("abc").region
    found = nearest_on_grid(np.array([0.46, 0.33, 0.21]), region, 0.1)
    assert found == pytest.approx([0.5, 0.3, 0.2])


def test_the_limits_hold_on_the_grid_by_hand() -> None:
    found = nearest_on_grid(np.array([0.4, 0.2, 0.4]), THIRD.region, 0.25)
    assert found == pytest.approx([0.5, 0.25, 0.25])


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_it_is_the_nearest_of_all_points_of_the_grid(seed: int) -> None:
    space = random_space(seed, 4, 2)
    every = np.array([row for row in product(range(11), repeat=4) if sum(row) == 10]) / 10
    low, high = space.region.lower - 1e-6, space.region.upper + 1e-6
    inside = every[space.region.holds(every) & ((every >= low) & (every <= high)).all(axis=1)]
    point = np.random.default_rng(seed).dirichlet(np.ones(4))
    found = nearest_on_grid(point, space.region, 0.1)
    assert has_point(space.region, 0.1) == bool(len(inside))
    if found is None:
        assert not len(inside)
        return
    assert np.abs(found - point).sum() == pytest.approx(np.abs(inside - point).sum(axis=1).min())
