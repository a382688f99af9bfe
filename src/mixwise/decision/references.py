"""Mixtures to train for validation: spread over the space, chosen before any result is seen.

Method:
    A pool of random mixtures of every sparsity: a uniform draw of how many extreme points of the
    space take part, which ones, and a flat Dirichlet over those. Then, one by one, the mixture
    farthest from all that were chosen and from all that the search scores (maximin in total
    variation), so that a reference is never a mixture that the surrogate was fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.space.vertices import list_vertices

_POOL = 2048
_GRID_POOL = 256  # of which the nearest on the grid are looked for
_LEAST_DISTANCE = 1e-4  # share of tokens below which two mixtures are the same
_TAKEN_WEIGHT = 2.0  # how much closer a reference may be to a scored mixture than to a reference


def spread_references(
    space: MixtureSpace, n: int, *, taken: Sequence[Mixture], seed: int
) -> tuple[Mixture, ...]:
    """Choose mixtures to train.

    Args:
        space: Where they must lie.
        n: How many.
        taken: Mixtures that the search scores; they depend on the space and the seed alone.
        seed: Decides the pool.

    Returns:
        Different mixtures; fewer than asked for where the bounds leave no room for more.
    """
    points = _pool(space, seed)
    nearest = np.full(len(points), np.inf)
    for mixture in taken:
        nearest = np.minimum(nearest, _TAKEN_WEIGHT * _distances(points, mixture.array))
    chosen: list[Mixture] = []
    while len(chosen) < n and nearest.max() > _LEAST_DISTANCE:
        far = int(nearest.argmax())
        chosen.append(Mixture(space.domains, tuple(points[far])))
        nearest = np.minimum(nearest, _distances(points, points[far]))
    return tuple(chosen)


@lru_cache(maxsize=8)  # a study asks for the same before calibration and before validation
def _pool(space: MixtureSpace, seed: int) -> Array:
    """Random mixtures of some of the extreme points, from two of them to all."""
    rng = np.random.default_rng(seed)
    corners = np.array([vertex.shares for vertex in list_vertices(space)])
    pool = []
    for _ in range(_POOL):
        n_members = min(len(corners), int(rng.integers(2, len(space.domains) + 1)))
        members = rng.permutation(len(corners))[:n_members]
        shares = rng.dirichlet(np.ones(n_members)) @ corners[members]
        pool.append(space.rounded(shares, 3).shares)
    if space.grid is not None:
        some = pool[:_GRID_POOL]
        pool = list(dict.fromkeys(space.trainable(np.array(p)).shares for p in some))
    points = np.array(pool)
    points.setflags(write=False)
    return points


def _distances(points: Array, point: Array) -> Array:
    return np.abs(points - point).sum(axis=1) / 2
