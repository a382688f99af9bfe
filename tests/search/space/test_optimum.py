import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.arrays import Array
from mixwise.mixture import MixtureSpace
from mixwise.search.space.optimum import Value, maximise
from mixwise.search.space.vertices import list_vertices

WHOLE = MixtureSpace.whole("abc")


def hill(*top: float) -> Value:
    """Largest at the mixture nearest to the top."""
    return lambda points: -((points - np.array(top)) ** 2).sum(axis=1)


@pytest.mark.parametrize(
    ("top", "space", "best"),
    [
        ((0.2, 0.3, 0.5), WHOLE, (0.2, 0.3, 0.5)),
        ((0.012, 0.988, 0.0), WHOLE, (0.012, 0.988, 0.0)),
        ((0.6, 0.6, -0.2), WHOLE, (0.5, 0.5, 0.0)),
        ((2.0, 0.0, 0.0), WHOLE, (1.0, 0.0, 0.0)),
        (
            (1.0, 0.0, 0.0),
            MixtureSpace(tuple("abc"), (0.0, 0.0, 0.0), (0.6, 1.0, 1.0)),
            (0.6, 0.2, 0.2),
        ),
        (
            (0.0, 1.0, 0.0),
            MixtureSpace(tuple("abc"), (0.25, 0.0, 0.1), (1.0, 1.0, 1.0)),
            (0.25, 0.65, 0.1),
        ),
        (
            (0.9, 0.1, 0.0),
            MixtureSpace(tuple("abc"), (0.4, 0.35, 0.25), (0.4, 0.35, 0.25)),
            (0.4, 0.35, 0.25),
        ),
    ],
    ids=["interior", "near a face", "face", "corner", "upper bound", "lower bounds", "one point"],
)
def test_known_optimum(
    top: tuple[float, ...], space: MixtureSpace, best: tuple[float, ...]
) -> None:
    assert maximise(hill(*top), space, seed=0).array == pytest.approx(best, abs=0.0015)


def test_a_linear_function_is_largest_at_a_vertex() -> None:
    space = MixtureSpace(tuple("abcd"), (0.0, 0.1, 0.0, 0.0), (0.5, 1.0, 0.3, 0.15))
    slope = np.array([4.0, 1.0, 3.0, 2.0])
    best = maximise(lambda points: points @ slope, space, seed=0)
    assert best.array == pytest.approx([0.5, 0.1, 0.3, 0.1], abs=1e-6)
    assert best.array @ slope == pytest.approx(max(v.array @ slope for v in list_vertices(space)))


def test_the_middle_of_a_plateau_is_taken() -> None:
    def value(points: Array) -> Array:
        return (np.abs(points - [0.3, 0.3, 0.4]).max(axis=1) < 0.1).astype(float)

    assert maximise(value, WHOLE, seed=0).array == pytest.approx([0.3, 0.3, 0.4], abs=0.06)


def test_of_two_far_tops_one_is_taken_and_not_their_middle() -> None:
    def value(points: Array) -> Array:
        return np.maximum(hill(1, 0, 0)(points), hill(0, 1, 0)(points))

    assert sorted(maximise(value, WHOLE, seed=0).shares) == [0, 0, 1]


def test_a_narrow_higher_top_is_preferred_to_a_wide_one() -> None:
    def value(points: Array) -> Array:
        return hill(0.7, 0.2, 0.1)(points) + 2 * (points[:, 2] > 0.8995)

    assert maximise(value, WHOLE, seed=0).shares[2] > 0.8995


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=25)
def test_no_mixture_of_a_fine_grid_is_better_on_a_random_quadratic(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, slope = rng.normal(size=(3, 3)), rng.normal(size=3)

    def value(points: Array) -> Array:
        return np.einsum("ki,ij,kj->k", points, matrix, points) + points @ slope

    grid = np.array(
        [(a, b, 100 - a - b) for a, b in itertools.product(range(101), repeat=2) if a + b <= 100]
    )
    best = maximise(value, WHOLE, seed=0)
    assert value(best.array[None])[0] >= value(grid / 100).max() - 1e-6


@pytest.mark.parametrize("n", [2, 5, 12])
def test_an_interior_optimum_is_found_in_many_domains(n: int) -> None:
    top = np.arange(1.0, n + 1) / np.arange(1.0, n + 1).sum()
    space = MixtureSpace.whole(f"d{i}" for i in range(n))
    assert maximise(hill(*top), space, seed=0).distance(space.mixture(top)) < 0.01


def test_the_answer_lies_inside_and_is_the_same_for_the_same_seed() -> None:
    space = MixtureSpace(tuple("abc"), (0.1, 0.0, 0.0), (0.455, 1.0, 0.333))
    tops = np.random.default_rng(0).uniform(-1, 2, (10, 3))
    for top in tops:
        first, again = (maximise(hill(*top), space, seed=1) for _ in range(2))
        assert first == again
        assert space.contains(first)
