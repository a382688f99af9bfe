import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.space.designs import centre, lattice, low_discrepancy, seed_points
from mixwise.search.space.vertices import list_vertices
from mixwise.search.surrogates.regressors import quadratic_features


def whole(n: int) -> MixtureSpace:
    return MixtureSpace.whole(f"d{i}" for i in range(n))


def capped(n: int, cap: float) -> MixtureSpace:
    return MixtureSpace(tuple(f"d{i}" for i in range(n)), (0.0,) * n, (cap,) * n)


BOUNDED = MixtureSpace(("a", "b", "c", "d"), (0.1, 0.0, 0.05, 0.0), (0.6, 0.5, 1.0, 0.3))
SPACES = [whole(2), whole(3), whole(6), BOUNDED, capped(5, 0.3)]
ids = [f"{len(space.domains)} domains up to {space.upper[0]}" for space in SPACES]
every_space = pytest.mark.parametrize("space", SPACES, ids=ids)


def test_the_lattice_of_three_domains_worked_by_hand() -> None:
    assert [m.shares for m in lattice(whole(3))] == [
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (0.5, 0.5, 0),
        (0.5, 0, 0.5),
        (0, 0.5, 0.5),
    ]


@pytest.mark.parametrize("n", range(2, 9))
def test_the_lattice_has_as_many_points_as_a_quadratic_has_coefficients(n: int) -> None:
    points = lattice(whole(n))
    assert len(points) == len(set(points)) == n * (n + 1) // 2
    features = quadratic_features(np.array([m.shares for m in points]))
    assert np.linalg.matrix_rank(features) == len(points)


@pytest.mark.parametrize("space", [BOUNDED, capped(4, 0.4), capped(5, 0.3)])
def test_a_bounded_lattice_still_determines_the_quadratic(space: MixtureSpace) -> None:
    points = lattice(space)
    n = len(space.domains)
    assert len(points) == n * (n + 1) // 2
    features = quadratic_features(np.array([m.shares for m in points]))
    assert np.linalg.matrix_rank(features, tol=1e-8) == len(points)


def test_the_choice_of_bounded_points_is_nearly_the_best_there_is() -> None:
    space = MixtureSpace(("a", "b", "c"), (0.0, 0.0, 0.0), (0.8, 0.7, 0.6))
    corners = [m.array for m in list_vertices(space)]
    middles = [(x + y) / 2 for x, y in itertools.combinations(corners, 2)]
    features = quadratic_features(np.unique(np.round([*corners, *middles], 9), axis=0))
    choices = np.array(list(itertools.combinations(range(len(features)), 6)))
    best = np.abs(np.linalg.det(features[choices])).max()
    found = np.abs(np.linalg.det(quadratic_features(np.array([m.shares for m in lattice(space)]))))
    assert found > best / 3


def test_bounds_on_eight_domains_cost_few_projections(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    project = MixtureSpace.mixture

    def counted(space: MixtureSpace, shares: np.ndarray) -> Mixture:
        nonlocal calls
        calls += 1
        assert calls <= 2000, "a projection per pair of vertices takes a minute"
        return project(space, shares)

    monkeypatch.setattr(MixtureSpace, "mixture", counted)
    assert len(lattice(capped(8, 0.3))) == 36


@pytest.mark.parametrize("n", [2, 3, 7])
def test_the_centre_of_the_whole_simplex_is_uniform(n: int) -> None:
    assert centre(whole(n)) == Mixture.uniform(whole(n).domains)


@pytest.mark.parametrize(("n", "cap"), [(5, 0.3), (8, 0.3), (30, 0.1)])
def test_the_centre_of_equal_caps_is_uniform(n: int, cap: float) -> None:
    assert centre(capped(n, cap)).array == pytest.approx(np.full(n, 1 / n), abs=1e-6)


@every_space
@pytest.mark.parametrize("n", [1, 2, 7, 33])
def test_points_inside_are_inside_distinct_and_as_many_as_asked(
    space: MixtureSpace, n: int
) -> None:
    points = low_discrepancy(space, n, seed=0)
    assert len(points) == len(set(points)) == n
    assert all(space.contains(point) for point in points)


def test_no_points_are_no_points() -> None:
    assert low_discrepancy(whole(3), 0, seed=0) == ()


@every_space
def test_the_seed_decides_the_points_inside(space: MixtureSpace) -> None:
    assert low_discrepancy(space, 8, seed=1) == low_discrepancy(space, 8, seed=1)
    assert low_discrepancy(space, 8, seed=1) != low_discrepancy(space, 8, seed=2)


def gap(points: np.ndarray, space: MixtureSpace) -> float:
    """Mean distance from a mixture of the space to the nearest of the points."""
    pool = np.random.default_rng(0).dirichlet(np.ones(len(space.domains)), 20_000)
    inside = pool[(pool <= np.array(space.upper)).all(axis=1)][:500]
    distances = np.abs(inside[:, None] - points[None]).sum(axis=-1) / 2
    return float(distances.min(axis=1).mean())


def random_points(space: MixtureSpace, n: int, seed: int) -> np.ndarray:
    pool = np.random.default_rng(seed).dirichlet(np.ones(len(space.domains)), 20_000)
    return pool[(pool <= np.array(space.upper)).all(axis=1)][:n]


@pytest.mark.parametrize("space", [whole(3), whole(4), capped(4, 0.5), capped(6, 0.3)])
def test_points_inside_cover_the_space_about_as_well_as_random_ones(space: MixtureSpace) -> None:
    ours = np.mean(
        [
            gap(np.array([m.shares for m in low_discrepancy(space, 32, seed=s)]), space)
            for s in range(5)
        ]
    )
    random = np.mean([gap(random_points(space, 32, seed), space) for seed in range(1, 6)])
    assert ours < 1.1 * random


@every_space
@pytest.mark.parametrize("n", [8, 12, 39])
def test_seed_points_are_as_many_as_asked_distinct_and_inside(space: MixtureSpace, n: int) -> None:
    points = seed_points(space, n, seed=0)
    assert len(points) == len(set(points)) == n
    assert all(space.contains(point) for point in points)


def test_seed_points_begin_with_corners_and_centre() -> None:
    points = seed_points(whole(4), 20, seed=0)
    assert points[:5] == (*list_vertices(whole(4)), centre(whole(4)))


def test_edges_take_at_most_half_of_what_corners_and_centre_leave() -> None:
    edges = [m for m in seed_points(whole(6), 15, seed=0)[7:] if sorted(m.shares)[-2:] == [0.5] * 2]
    assert len(edges) == 4
    all_edges = [m for m in seed_points(whole(4), 39, seed=0) if sorted(m.shares)[-2:] == [0.5] * 2]
    assert len(all_edges) == 6


@given(st.integers(0, 50))
@settings(deadline=None, max_examples=10)
def test_seed_points_are_the_same_for_the_same_seed(seed: int) -> None:
    assert seed_points(whole(5), 25, seed=seed) == seed_points(whole(5), 25, seed=seed)
