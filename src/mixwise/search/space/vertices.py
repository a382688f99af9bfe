"""Extreme points of the simplex cut by bounds and limits: all of them, or some of many.

Method:
    Within bounds every extreme point has at most one share strictly between its bounds, so filling
    the domains to their upper bound in some order reaches each of them. Few are listed in a fixed
    order; of many, random orders choose evenly.
    Limits cut these (`mixwise.polytope.corners`); where more than 256 are left, linear programs
    find some: those with the most of each domain first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.polytope.corners import cut_corners, some_corners

_TOLERANCE = 1e-6  # of sums of shares
_MOST_CUT = 256  # corners that limits are cut from, all of them
_PROGRAMS = 2  # linear programs a domain, where there are more


def list_vertices(space: MixtureSpace, most: int = 512) -> tuple[Mixture, ...]:
    """List the extreme points of a space: the corners, where the bounds allow them.

    Args:
        space: Whose points.
        most: At most so many; only bounds on many domains come near it, and then some are chosen,
            the same ones every time.

    Returns:
        Distinct mixtures; the N corners in the domains' order for the whole simplex.
    """
    if space.limits:
        corners = _limited(space)[:most]
        return tuple(Mixture(space.domains, tuple(corner)) for corner in corners.tolist())
    found: dict[str, Mixture] = {}
    for order in _fill_orders(space):
        vertex = _fill(space, order)
        found.setdefault(str(vertex), vertex)
        if len(found) > most:
            return _some_vertices(space, most)
    return tuple(found.values())


def _some_vertices(space: MixtureSpace, n: int) -> tuple[Mixture, ...]:
    rng = np.random.default_rng(0)
    found: dict[str, Mixture] = {}
    while len(found) < n:
        vertex = _fill(space, rng.permutation(len(space.domains)).tolist())
        found.setdefault(str(vertex), vertex)
    return tuple(found.values())


def _fill_orders(space: MixtureSpace) -> Iterable[tuple[int, ...]]:
    """Prefixes that decide a vertex: those whose upper bounds together just exceed the mass."""
    free = 1 - sum(space.lower)
    room = [high - low for low, high in zip(space.lower, space.upper, strict=True)]

    def extend(prefix: tuple[int, ...], left: float) -> Iterable[tuple[int, ...]]:
        for i in range(len(room)):
            if i in prefix:
                continue
            if room[i] >= left - _TOLERANCE:
                yield (*prefix, i)
            elif not prefix or i > prefix[-1]:
                yield from extend((*prefix, i), left - room[i])

    yield from extend((), free)


def _fill(space: MixtureSpace, order: Iterable[int]) -> Mixture:
    shares = list(space.lower)
    left = 1 - sum(shares)
    for i in order:
        added = min(left, space.upper[i] - space.lower[i])
        shares[i] += added
        left -= added
    return Mixture(space.domains, tuple(shares))


def extreme_points(space: MixtureSpace, n: int, *, seed: int) -> Array:
    """Extreme points of the space: all corners where they lie inside, else a sample.

    Args:
        space: Whose points.
        n: At most so many, of those that linear functions in random directions reach.
        seed: Decides the directions.
    """
    if space.limits:
        return _some_limited(_limited(space), n, seed=seed)
    low, high = np.asarray(space.lower), np.asarray(space.upper)
    n_domains = len(low)
    free = 1 - low.sum()
    if (high - low >= free - 1e-9).all():
        return np.asarray(low + free * np.eye(n_domains))
    rng = np.random.default_rng(seed)
    first = np.arange(n) % n_domains  # each domain leads in turn
    keys = rng.random((n, n_domains))
    keys[np.arange(n), first] = -1
    order = np.argsort(keys, axis=1)
    room = (high - low)[order]
    before = np.cumsum(room, axis=1) - room
    filled = np.clip(free - before, 0, room)
    points = np.tile(low, (n, 1))
    np.put_along_axis(points, order, np.take_along_axis(points, order, 1) + filled, axis=1)
    return np.unique(points.round(12), axis=0)


@lru_cache(maxsize=64)
def _limited(space: MixtureSpace) -> Array:
    """Extreme points of a space with limits: all where there are few, and always the same ones."""
    uncut = list_vertices(replace(space, limits=(), grid=None), _MOST_CUT)
    if len(uncut) < _MOST_CUT:
        corners = np.array([corner.shares for corner in uncut])
        every = cut_corners(corners, space.region, _MOST_CUT)
        if every is not None:
            return every
    return some_corners(space.region, _PROGRAMS * len(space.domains), seed=0)


def _some_limited(corners: Array, n: int, *, seed: int) -> Array:
    """At most n corners: first one with the most of each domain, then random ones."""
    if len(corners) <= n:
        return corners
    order = np.random.default_rng(seed).permutation(len(corners))
    leaders = order[corners[order].argmax(axis=0)]
    chosen = list(dict.fromkeys([*leaders.tolist(), *order.tolist()]))[:n]
    return np.asarray(corners[chosen])
