"""Mixtures to train for validation: spread over the space, chosen before any result is seen.

Method:
    A pool of random mixtures of every sparsity (a uniform draw of how many domains take part, which
    ones, and a flat Dirichlet over those), then one by one the mixture farthest from all that were
    chosen and from all that the search scores (maximin in total variation), so that a reference is
    never one of the mixtures that the surrogate was fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixwise.mixture import Mixture, MixtureSpace

_POOL = 2048
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
    """
    rng = np.random.default_rng(seed)
    n_domains = len(space.domains)
    pool = []
    for _ in range(_POOL):
        members = rng.permutation(n_domains)[: rng.integers(2, n_domains + 1)]
        shares = np.zeros(n_domains)
        shares[members] = rng.dirichlet(np.ones(len(members)))
        pool.append(space.mixture(shares.round(2)).shares)
    points = np.array(pool)
    nearest = np.full(_POOL, np.inf)
    for mixture in taken:
        nearest = np.minimum(nearest, _TAKEN_WEIGHT * _distances(points, mixture.array))
    chosen = []
    for _ in range(min(n, _POOL)):
        far = int(nearest.argmax())
        chosen.append(space.mixture(points[far]))
        nearest = np.minimum(nearest, _distances(points, points[far]))
    return tuple(chosen)


def _distances(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.abs(points - point).sum(axis=1) / 2
