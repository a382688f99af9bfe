from functools import cache

import numpy as np
import pytest

from mixwise.decision.references import spread_references
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.space.designs import lattice, seed_points

BOUNDED = MixtureSpace(("a", "b", "c", "d"), (0.1, 0.0, 0.05, 0.0), (0.6, 0.5, 1.0, 0.3))
NARROW = MixtureSpace(("a", "b"), (0.5, 0.0), (0.52, 1.0))
SPACES = [
    MixtureSpace.whole("ab"),
    MixtureSpace.whole("abc"),
    MixtureSpace.whole("abcdefgh"),
    BOUNDED,
    NARROW,
]
ids = ["2 domains", "3 domains", "8 domains", "bounded", "narrow"]
every_space = pytest.mark.parametrize("space", SPACES, ids=ids)


@cache
def beside_the_lattice(space: MixtureSpace, n: int) -> tuple[Mixture, ...]:
    return spread_references(space, n, taken=lattice(space), seed=0)


@cache
def alone(seed: int) -> tuple[Mixture, ...]:
    return spread_references(MixtureSpace.whole("abcd"), 12, taken=(), seed=seed)


def distances(mixtures: tuple[Mixture, ...], others: tuple[Mixture, ...]) -> np.ndarray:
    return np.array([[m.distance(o) for o in others] for m in mixtures])


@every_space
def test_references_are_as_many_as_asked_distinct_and_inside(space: MixtureSpace) -> None:
    chosen = beside_the_lattice(space, 12)
    assert len(chosen) == 12
    assert len(set(chosen)) == 12
    assert all(space.contains(mixture) for mixture in chosen)


@every_space
def test_none_is_a_mixture_that_the_search_scores(space: MixtureSpace) -> None:
    assert not set(beside_the_lattice(space, 12)) & set(lattice(space))


def test_the_first_is_the_farthest_worked_by_hand() -> None:
    # between the corners and the middle of two domains, a quarter is farthest from all
    first, second = beside_the_lattice(MixtureSpace.whole("ab"), 12)[:2]
    assert sorted([first.shares[0], second.shares[0]]) == pytest.approx([0.25, 0.75], abs=0.011)


def test_references_are_farther_apart_than_random_mixtures() -> None:
    apart = distances(alone(0), alone(0)) + np.eye(12)
    for seed in range(20):
        shares = np.random.default_rng(seed).dirichlet(np.ones(4), 12)
        random = tuple(Mixture(tuple("abcd"), tuple(row)) for row in shares)
        assert apart.min() > (distances(random, random) + np.eye(12)).min()


def test_references_stay_away_from_what_the_search_scores() -> None:
    space = MixtureSpace.whole("abcd")
    taken = seed_points(space, 39, seed=0)
    chosen = spread_references(space, 12, taken=taken, seed=0)
    assert distances(chosen, taken).min() > 0.05


def test_references_are_of_every_sparsity() -> None:
    chosen = beside_the_lattice(MixtureSpace.whole("abcdefgh"), 12)
    assert len({len(mixture.support) for mixture in chosen}) >= 3


@pytest.mark.parametrize("space", [MixtureSpace.whole("abc"), BOUNDED], ids=["whole", "bounded"])
def test_fewer_references_are_the_first_ones_whatever_the_order_of_what_is_scored(
    space: MixtureSpace,
) -> None:
    fewer = spread_references(space, 5, taken=lattice(space)[::-1], seed=0)
    assert fewer == beside_the_lattice(space, 12)[:5]


def test_the_seed_decides() -> None:
    assert alone(0) != alone(1)


def test_none_is_none() -> None:
    assert spread_references(MixtureSpace.whole("ab"), 0, taken=(), seed=0) == ()
