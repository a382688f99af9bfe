import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mixwise.mixture import MixtureSpace
from mixwise.search.space.simplex import climb, extreme_points, project, project_entropic, sample
from mixwise.search.space.vertices import list_vertices

Array = np.ndarray
BOUNDED = MixtureSpace(tuple("abcd"), (0.1, 0.0, 0.0, 0.05), (0.6, 0.5, 0.35, 1.0))
WHOLE = MixtureSpace.whole("abcd")
pytestmark = pytest.mark.filterwarnings(  # older scipy's own search steps out and back
    "ignore:Values in x were outside bounds:RuntimeWarning"
)
SPACES = pytest.mark.parametrize("space", [WHOLE, BOUNDED], ids=["whole", "bounded"])


def is_inside(space: MixtureSpace, points: Array) -> bool:
    low, high = np.asarray(space.lower), np.asarray(space.upper)
    within = (points >= low - 1e-9).all() and (points <= high + 1e-9).all()
    return bool(within and np.allclose(points.sum(axis=1), 1, atol=1e-9))


@SPACES
@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_projection_is_that_of_the_space(space: MixtureSpace, seed: int) -> None:
    points = np.random.default_rng(seed).normal(0, 1, (5, 4))
    slow = [space.mixture(point).shares for point in points]
    assert project(points, space) == pytest.approx(np.array(slow), abs=1e-8)


@SPACES
def test_the_entropic_projection_is_the_nearest_in_divergence(space: MixtureSpace) -> None:
    point = np.array([0.05, 0.15, 0.7, 0.1])
    found = minimize(
        lambda x: float(np.sum(np.maximum(x, 1e-12) * np.log(np.maximum(x, 1e-12) / point))),
        np.array([0.4, 0.2, 0.2, 0.2]),
        bounds=list(zip(space.lower, space.upper, strict=True)),
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        options={"ftol": 1e-14},
    )
    assert project_entropic(point[None], space)[0] == pytest.approx(found.x, abs=1e-4)


@SPACES
def test_projections_of_points_inside_are_the_points(space: MixtureSpace) -> None:
    inside = sample(space, 50, seed=0)
    assert project(inside, space) == pytest.approx(inside, abs=1e-9)
    assert project_entropic(inside + 1e-15, space) == pytest.approx(inside, abs=1e-9)


def test_huge_multipliers_do_not_overflow() -> None:
    found = project_entropic(np.array([[1e300, 1e-300, 1.0, 0.0]]), WHOLE)
    assert found[0] == pytest.approx([1, 0, 0, 0], abs=1e-9)


@SPACES
def test_extreme_points_are_those_of_the_space(space: MixtureSpace) -> None:
    slow = {tuple(np.round(vertex.shares, 9)) for vertex in list_vertices(space)}
    assert {tuple(point.round(9)) for point in extreme_points(space, 200, seed=0)} == slow


def test_a_few_extreme_points_of_many_come_quickly_and_reach_every_domain() -> None:
    space = MixtureSpace(tuple(f"d{i}" for i in range(32)), (0.0,) * 32, (0.1,) * 32)
    points = extreme_points(space, 64, seed=0)
    assert is_inside(space, points)
    assert points.max(axis=0) == pytest.approx(0.1)
    assert len(points) == 64


@SPACES
def test_samples_lie_inside_and_reach_from_the_corners_to_the_middle(space: MixtureSpace) -> None:
    points = sample(space, 400, seed=3)
    assert is_inside(space, points)
    middle = extreme_points(space, 64, seed=0).mean(axis=0)
    distance = np.abs(points - middle).sum(axis=1)
    assert distance.min() < 0.15 < 0.5 < distance.max()
    assert sample(space, 5, seed=3) == pytest.approx(sample(space, 5, seed=3))


@SPACES
@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_climb_ends_where_scipy_does_on_concave_quadratics(
    space: MixtureSpace, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    root, slope = rng.normal(size=(4, 4)), rng.normal(size=4)
    bend = root @ root.T + 0.1 * np.eye(4)

    def ascent(points: Array) -> tuple[Array, Array]:
        bent = points @ bend
        return points @ slope - (bent * points).sum(axis=1) / 2, slope - bent

    starts = sample(space, 3, seed=seed)
    found = minimize(
        lambda x: -ascent(x[None])[0][0],
        starts[0],
        bounds=list(zip(space.lower, space.upper, strict=True)),
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    tops = climb(ascent, space, starts)
    assert is_inside(space, tops)
    assert ascent(tops)[0] == pytest.approx([-found.fun] * 3, abs=1e-5)


def test_each_start_climbs_its_own_hill() -> None:
    def ascent(points: Array) -> tuple[Array, Array]:
        return (points**2).sum(axis=1), 2 * points

    starts = np.array([[0.4, 0.2, 0.2, 0.2], [0.1, 0.1, 0.1, 0.7]])
    assert climb(ascent, WHOLE, starts) == pytest.approx(np.eye(4)[[0, 3]], abs=1e-6)


def test_a_flat_function_leaves_the_starts_alone() -> None:
    starts = sample(WHOLE, 4, seed=0)
    flat = climb(lambda points: (np.zeros(len(points)), np.zeros_like(points)), WHOLE, starts)
    assert flat == pytest.approx(starts, abs=1e-9)
