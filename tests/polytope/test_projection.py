import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from tests.polytope.families import random_space

from mixwise.mixture import Limit, MixtureSpace
from mixwise.polytope.projection import project, project_by_least_squares, project_entropic
from mixwise.polytope.region import Region

SEEDS = st.integers(0, 10_000)


def nearest_by_slsqp(point: np.ndarray, region: Region, start: np.ndarray) -> np.ndarray:
    """The slow way: sequential quadratic programming."""
    sides, ends = region.half_spaces
    found = minimize(
        lambda x: float(((x - point) ** 2).sum()),
        start,
        jac=lambda x: 2 * (x - point),
        bounds=list(zip(region.lower, region.upper, strict=True)),
        constraints=[
            {"type": "eq", "fun": lambda x: x.sum() - 1},
            {"type": "ineq", "fun": lambda x: ends - sides @ x},
        ],
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return np.asarray(found.x)


def is_inside(points: np.ndarray, region: Region) -> bool:
    within = (points >= region.lower - 1e-9) & (points <= region.upper + 1e-9)
    sums = np.abs(points.sum(axis=1) - 1) < 1e-9
    return bool(within.all() and sums.all() and region.holds(points, tolerance=1e-9).all())


def test_a_projection_by_hand() -> None:
    space = MixtureSpace(
        tuple("abc"), (0.0,) * 3, (1.0,) * 3, (Limit("a >= 2 b", (1.0, -2.0, 0.0), 0.0, None),)
    )
    # on the plane a = 2b, a + b + c = 1: (2t, t, 1 − 3t), nearest to thirds at t = 3/14
    found = project(np.full((1, 3), 1 / 3), space.region)[0]
    assert found == pytest.approx([6 / 14, 3 / 14, 5 / 14], abs=1e-10)


@pytest.mark.filterwarnings("ignore:Values in x were outside bounds:RuntimeWarning")
@given(seed=SEEDS, n_domains=st.integers(2, 6), n_limits=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_nearest_point_is_that_of_a_slow_quadratic_program(
    seed: int, n_domains: int, n_limits: int
) -> None:
    region = random_space(seed, n_domains, n_limits).region
    rng = np.random.default_rng(seed)
    points = rng.normal(1 / n_domains, 0.5, (3, n_domains))
    found = project(points, region)
    assert is_inside(found, region)
    slow = np.array(
        [nearest_by_slsqp(*each) for each in zip(points, [region] * 3, found, strict=True)]
    )
    if is_inside(slow, region):  # where the slow way has ended
        gap = ((found - points) ** 2).sum(axis=1) - ((slow - points) ** 2).sum(axis=1)
        assert (gap < 1e-9).all()


@given(seed=SEEDS, far=st.sampled_from([0.1, 1.0, 100.0]))
@settings(max_examples=40, deadline=None)
def test_newton_and_least_squares_agree(seed: int, far: float) -> None:
    region = random_space(seed, 5, 3).region
    points = np.random.default_rng(seed).normal(0, far, (3, 5))
    slow = [project_by_least_squares(point, region) for point in points]
    assert project(points, region) == pytest.approx(np.array(slow), abs=1e-8)


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_a_projection_is_its_own_projection(seed: int) -> None:
    region = random_space(seed, 5, 3).region
    once = project(np.random.default_rng(seed).normal(0, 1, (4, 5)), region)
    assert project(once, region) == pytest.approx(once, abs=1e-9)


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_no_move_within_the_region_is_nearer_in_divergence(seed: int) -> None:
    region = random_space(seed, 5, 3).region
    rng = np.random.default_rng(seed)
    points = rng.dirichlet(np.ones(5), 3)
    found = project_entropic(points, region)
    assert is_inside(found, region)
    others = project(rng.dirichlet(np.ones(5), 20), region)

    def divergence(shares: np.ndarray, point: np.ndarray) -> float:
        kept = np.maximum(shares, 1e-300)
        return float((shares * np.log(kept / point)).sum())

    for point, answer in zip(points, found, strict=True):
        least = min(divergence(answer + 0.01 * (other - answer), point) for other in others)
        assert divergence(answer, point) <= least + 1e-9


def test_sixty_four_domains_are_projected_together() -> None:
    region = random_space(3, 64, 6).region
    points = np.random.default_rng(0).normal(1 / 64, 0.1, (40, 64))
    found = project(points, region)
    slow = [project_by_least_squares(point, region) for point in points[:5]]
    assert is_inside(found, region)
    assert found[:5] == pytest.approx(np.array(slow), abs=1e-8)
