"""Corners of a region: those of the bounds alone, cut by one half-space after the other.

Method:
    Double description: a half-space drops the corners beyond it and adds a point on each edge that
    it crosses. Two corners share an edge where no third one lies on all the planes that both lie
    on. Where a cut leaves more corners than may be listed, there are too many, and some are found
    by linear programs: the farthest in each domain's direction, then in random ones.

Source:
    Motzkin, Raiffa, Thompson and Thrall 1953; Fukuda and Prodon 1996 for which corners share an
    edge.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.polytope.programs import farthest
from mixwise.polytope.region import Region

_ON = 1e-9  # of a plane
_DECIMALS = 10  # by which corners are told apart


def cut_corners(corners: Array, region: Region, most: int) -> Array | None:
    """All corners of a region.

    Args:
        corners: Of the bounds alone, all of them, ``(n, n_domains)``.
        region: Its bounds and limits.
        most: At most so many, at every cut.

    Returns:
        Different corners, or None where there are more.
    """
    n_domains = len(region.lower)
    sides = np.concatenate([-np.eye(n_domains), np.eye(n_domains)])
    ends = np.concatenate([-region.lower, region.upper])
    for side, end in zip(*region.half_spaces, strict=True):
        corners = _cut(corners, side, end, np.abs(ends - corners @ sides.T) <= _ON)
        if len(corners) > most:
            return None
        sides, ends = np.concatenate([sides, side[None]]), np.append(ends, end)
    return corners


def some_corners(region: Region, n: int, *, seed: int) -> Array:
    """Some corners of a region: first those with the most of each domain.

    Args:
        region: One that is not empty.
        n: Linear programs, at most; different ones may end at the same corner.
        seed: Decides the directions.
    """
    n_domains = len(region.lower)
    directions = np.random.default_rng(seed).standard_normal((max(n - n_domains, 0), n_domains))
    every = np.concatenate([np.eye(n_domains), directions])[:n]
    return _distinct(farthest(region, every))


def _cut(corners: Array, side: Array, end: float, is_on: npt.NDArray[np.bool_]) -> Array:
    """The corners of what a half-space leaves; ``is_on``: of which planes each corner is."""
    room = end - corners @ side
    beyond, within = np.flatnonzero(room < -_ON), np.flatnonzero(room > _ON)
    if not len(beyond):
        return corners
    left, right = (each.ravel() for each in np.meshgrid(within, beyond, indexing="ij"))
    shared = is_on[left] & is_on[right]
    is_likely = shared.sum(axis=1) >= corners.shape[1] - 2  # an edge, in the plane of the sum
    left, right, shared = left[is_likely], right[is_likely], shared[is_likely]
    n_with = (shared.astype(float) @ (~is_on).T.astype(float) == 0).sum(axis=1)
    left, right = left[n_with == 2], right[n_with == 2]
    part = (room[left] / (room[left] - room[right]))[:, None]
    added = corners[left] + part * (corners[right] - corners[left])
    return _distinct(np.concatenate([corners[room >= -_ON], added]))


def _distinct(points: Array) -> Array:
    """Points without repeats, in their order."""
    _, first = np.unique(points.round(_DECIMALS) + 0.0, axis=0, return_index=True)
    return points[np.sort(first)]
