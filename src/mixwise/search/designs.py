"""Points of the mixture space at which to score: lattice, centre, spread inside.

Notation:
    N: domains.  {N, 2} lattice: corners and midpoints of the edges, N(N+1)/2 points.

Method:
    Where bounds cut the simplex, its corners give way to the extreme points of what is left, and
    edges to pairs of those. Points inside are a Sobol sequence u mapped by −log u, normalised,
    which spreads evenly over the simplex, then taken as weights of the extreme points.

Source:
    Scheffé 1958 (simplex lattice); McLean and Anderson 1966 (extreme vertices).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import qmc

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.problem import Array, distinct
from mixwise.search.surrogates import quadratic_features


def centre(space: MixtureSpace) -> Mixture:
    """Mean of the extreme points: the uniform mixture, where there are no bounds."""
    return _mean(space, space.vertices())


def lattice(space: MixtureSpace) -> tuple[Mixture, ...]:
    """Extreme points and midpoints of their pairs: enough for a full quadratic, and no more.

    Args:
        space: Where the points must lie.

    Returns:
        The {N, 2} lattice for the whole simplex. Where bounds make more points than a quadratic has
        coefficients, those that determine it best (greedy D-optimality).

    Example:
        >>> [str(m) for m in lattice(MixtureSpace.whole(["a", "b"]))]
        ['a=1', 'b=1', 'a=0.5,b=0.5']
    """
    corners = space.vertices()
    points = distinct([*corners, *(_mean(space, pair) for pair in combinations(corners, 2))])
    n_domains = len(space.domains)
    wanted = n_domains * (n_domains + 1) // 2
    return points if len(points) <= wanted else _most_telling(points, wanted)


def spread(space: MixtureSpace, n: int, *, seed: int) -> tuple[Mixture, ...]:
    """Low-discrepancy points inside the space.

    Args:
        space: Where the points must lie.
        n: How many.
        seed: Scrambles the sequence.
    """
    if n <= 0:
        return ()
    corners = np.array([vertex.shares for vertex in space.vertices()])
    sobol = qmc.Sobol(len(corners), seed=seed)
    uniform = sobol.random_base2(int(np.ceil(np.log2(n))) if n > 1 else 0)[:n]
    spacings = -np.log(np.clip(uniform, 1e-12, 1 - 1e-12))
    inside = spacings / spacings.sum(axis=1, keepdims=True) @ corners
    return tuple(space.mixture(point) for point in inside)


def seed_points(space: MixtureSpace, n: int, *, seed: int) -> tuple[Mixture, ...]:
    """Corners, centre, edge midpoints, and low-discrepancy points inside.

    Args:
        space: Where the points must lie.
        n: How many in all; edges take at most half of what corners and centre leave.
        seed: Decides which edges, where there are too many, and scrambles the points inside.
    """
    corners = space.vertices()[: max(1, n - 1)]
    fixed = distinct([*corners, centre(space)])[:n]
    edges = [_mean(space, pair) for pair in combinations(corners, 2)]
    room = (n - len(fixed)) // 2
    if len(edges) > room:
        chosen = np.random.default_rng(seed).permutation(len(edges))[:room]
        edges = [edges[i] for i in sorted(chosen)]
    points = distinct([*fixed, *edges])
    return distinct([*points, *spread(space, n - len(points), seed=seed)])


def _mean(space: MixtureSpace, mixtures: tuple[Mixture, ...]) -> Mixture:
    return space.mixture(np.mean([mixture.shares for mixture in mixtures], axis=0))


def _most_telling(points: tuple[Mixture, ...], n: int) -> tuple[Mixture, ...]:
    """Greedy D-optimal choice: each point adds most to the determinant of the information."""
    features: Array = quadratic_features(np.array([point.shares for point in points]))
    inverse = np.eye(features.shape[1]) * 1e6
    chosen: list[int] = []
    for _ in range(n):
        leverage = np.einsum("ij,jk,ik->i", features, inverse, features)
        leverage[chosen] = -1
        best = int(leverage.argmax())
        chosen.append(best)
        column = inverse @ features[best]
        inverse -= np.outer(column, column) / (1 + features[best] @ column)
    return tuple(points[i] for i in sorted(chosen))
