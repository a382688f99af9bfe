"""Nearest points of a region, in the Euclidean sense or in Kullback-Leibler divergence.

Notation:
    x: point.  B, b: rows and right-hand sides of the sum, of limits whose sides are equal, and of
    the half-spaces of the others.  ν: their multipliers, ≥ 0 for half-spaces.  r = Bλ − b.
    w: how fast a share falls with its pull Bᵀν, 0 at a bound.

Method:
    Given multipliers the shares are known one by one: λ(ν) = clip(x − Bᵀν, l, u), or
    clip(x exp(−Bᵀν), l, u) for the divergence. The dual is concave with slope r, so that a
    projected Newton method with H = B diag(w) Bᵀ over the multipliers that are not held at zero
    ends after a few steps; w is 1, or λ. All points at once. What has not ended after 25 steps (H
    is singular where all shares lie at bounds) goes through Lawson and Hanson's reduction to
    non-negative least squares, which ends always; for the divergence with the last point for x.

Source:
    Bertsekas 1982 (SIAM J. Control Optim. 20) for projected Newton; Lawson and Hanson 1974 (Solving
    Least Squares Problems, ch. 23: LDP).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.polytope.region import Region

_Truths = npt.NDArray[np.bool_]
_Places = npt.NDArray[np.intp]
_STEPS = 25
_HALVINGS = 30
_EXACT = 1e-11  # of a sum or a limit
_RISE = 1e-4  # share of the promised rise that a step must bring
_RIDGE = 1e-9
_BLUR = 1e-13  # of the dual's value, by rounding
_SMALLEST = 1e-12  # share, for the divergence


def project(points: Array, region: Region) -> Array:
    """Nearest points of a region that is not empty, in the Euclidean sense.

    Args:
        points: Any real vectors, ``(n, n_domains)``.
        region: Where the answers lie.
    """
    found, is_done = _solve(_Euclidean(points, region), len(points), region)
    for k in np.flatnonzero(~is_done):
        found[k] = project_by_least_squares(points[k], region)
    return found


def project_entropic(points: Array, region: Region) -> Array:
    """Nearest points of a region that is not empty, in divergence from positive ones.

    Args:
        points: Positive vectors, ``(n, n_domains)``.
        region: Where the answers lie.
    """
    found, is_done = _solve(_Entropic(points, region), len(points), region)
    for k in np.flatnonzero(~is_done):
        found[k] = project_by_least_squares(found[k], region)
    return found


def project_by_least_squares(point: Array, region: Region) -> Array:
    """The nearest point in the Euclidean sense, by non-negative least squares.

    Args:
        point: Any real vector, ``(n_domains,)``.
        region: Where the answer lies.
    """
    from scipy.optimize import nnls

    sides, ends = region.half_spaces
    n, one = len(point), np.ones((1, len(point)))
    matrix = np.concatenate([np.eye(n), -np.eye(n), one, -one, sides])
    limits = np.concatenate([region.upper, -region.lower, [1.0, -1.0], ends])
    system = np.concatenate([-matrix.T, (matrix @ point - limits)[None]])
    wanted = np.zeros(n + 1)
    wanted[-1] = 1.0
    multipliers, _ = nnls(system, wanted)
    active = matrix[multipliers > 0]  # on these planes the answer lies, whatever was rounded
    away = active @ point - limits[multipliers > 0]
    moved = point - np.linalg.lstsq(active, away, rcond=None)[0] if len(active) else point
    return np.asarray(np.clip(moved, region.lower, region.upper))


@dataclass(frozen=True, slots=True, eq=False)
class _Euclidean:
    points: Array
    region: Region

    def shares(self, pulls: Array, rows: _Places) -> tuple[Array, Array]:
        """λ and w at given pulls Bᵀν, of some of the points."""
        free = self.points[rows] - pulls
        found = np.clip(free, self.region.lower, self.region.upper)
        return found, (found == free).astype(float)

    def distance(self, shares: Array, rows: _Places) -> Array:
        """What is made small."""
        return np.asarray(((shares - self.points[rows]) ** 2).sum(axis=1) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class _Entropic:
    points: Array
    region: Region

    def shares(self, pulls: Array, rows: _Places) -> tuple[Array, Array]:
        """λ and w at given pulls Bᵀν, of some of the points."""
        low, high = np.maximum(self.region.lower, _SMALLEST), self.region.upper
        logs = np.log(np.maximum(self.points[rows], 1e-300)) - pulls
        free = np.exp(np.minimum(logs, 1.0))  # beyond any bound
        found = np.minimum(np.maximum(free, low), high)
        return found, np.where(found == free, found, 0.0)

    def distance(self, shares: Array, rows: _Places) -> Array:
        """What is made small."""
        kept = np.maximum(shares, _SMALLEST)
        logs = np.log(kept) - np.log(np.maximum(self.points[rows], 1e-300))
        return np.asarray((shares * (logs - 1)).sum(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """B and b, and which rows are half-spaces.

    Args:
        matrix: B, ``(n_rows, n_domains)``.
        ends: b, ``(n_rows,)``.
        is_half_space: ``(n_rows,)``.
    """

    matrix: Array
    ends: Array
    is_half_space: _Truths

    @classmethod
    def of(cls, region: Region) -> _Rows:
        same = region.is_equality
        one = np.ones((1, len(region.lower)))
        others = Region(
            region.lower, region.upper, region.rows[~same], region.least[~same], region.most[~same]
        )
        sides, ends = others.half_spaces
        matrix = np.concatenate([one, region.rows[same], sides])
        is_half_space = np.arange(len(matrix)) >= 1 + same.sum()
        return cls(matrix, np.concatenate([[1.0], region.most[same], ends]), is_half_space)

    def missed(self, shares: Array) -> Array:
        """r, ``(n, n_rows)``."""
        return np.asarray(shares @ self.matrix.T - self.ends)


def _solve(kind: _Euclidean | _Entropic, n: int, region: Region) -> tuple[Array, _Truths]:
    """Newton's method on the dual: shares ``(n, n_domains)``, and which of them have ended."""
    rows = _Rows.of(region)
    multipliers = np.zeros((n, len(rows.ends)))
    is_done = np.zeros(n, dtype=bool)
    left = np.arange(n)
    for _ in range(_STEPS):
        multipliers[left], is_done[left] = _step(kind, multipliers[left], left, rows)
        left = np.flatnonzero(~is_done)
        if not len(left):
            break
    return kind.shares(multipliers @ rows.matrix, np.arange(n))[0], is_done


def _step(
    kind: _Euclidean | _Entropic, multipliers: Array, points: _Places, rows: _Rows
) -> tuple[Array, _Truths]:
    """One step of some points: their multipliers, and whether they had ended before it."""
    shares, falls = kind.shares(multipliers @ rows.matrix, points)
    slope = rows.missed(shares)
    is_free = ~(rows.is_half_space & (multipliers <= 0) & (slope <= 0))
    is_done = np.asarray((np.abs(np.where(is_free, slope, 0.0)) <= _EXACT).all(axis=1))
    move = _newton(rows.matrix, falls, slope, is_free)
    height = kind.distance(shares, points) + (multipliers * slope).sum(axis=1)
    least = height - _BLUR * (1 + np.abs(height))
    share, there = np.ones(len(points)), multipliers
    for _ in range(_HALVINGS):
        there = multipliers + share[:, None] * move
        there = np.where(rows.is_half_space, np.maximum(there, 0.0), there)
        moved, _ = kind.shares(there @ rows.matrix, points)
        risen = kind.distance(moved, points) + (there * rows.missed(moved)).sum(axis=1)
        promised = ((there - multipliers) * slope).sum(axis=1)
        is_short = (risen < least + _RISE * promised) & ~is_done
        if not is_short.any():
            break
        share = np.where(is_short, share / 2, share)
    return np.where(is_done[:, None], multipliers, there), is_done


def _newton(matrix: Array, falls: Array, slope: Array, is_free: _Truths) -> Array:
    """Newton's move of the free multipliers, ``(n, n_rows)``."""
    curvature = np.einsum("kd,nd,ld->nkl", matrix, falls, matrix, optimize=True)
    curvature *= is_free[:, :, None] & is_free[:, None, :]
    index = np.arange(len(matrix))
    ridge = _RIDGE * (1 + np.einsum("nkk->n", curvature))
    curvature[:, index, index] += np.where(is_free, ridge[:, None], 1.0)
    move = np.linalg.solve(curvature, np.where(is_free, slope, 0.0)[:, :, None])
    return np.asarray(move[:, :, 0])
