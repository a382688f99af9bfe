"""Linear programs over a region: farthest corners, how far each share reaches, whether any fits.

Method:
    HiGHS' dual simplex, which ends at a corner. Whether a set of rules can hold together is asked
    by the smallest amount by which all of them must be missed, which always has an answer.
"""

from __future__ import annotations

import numpy as np

from mixwise.arrays import Array
from mixwise.polytope.region import Region

_EXACT = 1e-10  # the solver's smallest tolerance
_ROUNDED = 1e-9  # of a share, by which rules may be missed and yet be taken to hold


def farthest(region: Region, directions: Array) -> Array:
    """The corners at which linear functions are largest.

    Args:
        region: One that is not empty.
        directions: Slopes of each function, ``(n, n_domains)``.

    Returns:
        A corner for each, ``(n, n_domains)``.
    """
    from scipy.optimize import linprog

    sides, ends = region.half_spaces
    one = np.ones((1, len(region.lower)))
    bounds = list(zip(region.lower.tolist(), region.upper.tolist(), strict=True))
    found = []
    for direction in directions:
        done = linprog(
            -direction,
            A_ub=sides,
            b_ub=ends,
            A_eq=one,
            b_eq=[1.0],
            bounds=bounds,
            method="highs-ds",
        )
        assert done.x is not None, f"a linear program over a region that is not empty: {done}"
        found.append(np.clip(done.x, region.lower, region.upper))
    return np.array(found)


def reach(region: Region) -> tuple[Array, Array]:
    """Smallest and largest share of each domain over a region that is not empty."""
    every = np.eye(len(region.lower))
    least = np.diag(farthest(region, -every))
    most = np.diag(farthest(region, every))
    return least, most


def possible(region: Region) -> Region:
    """The region itself, or as little loosened as it takes where rounding left nothing of it.

    Args:
        region: One whose rules are all missed by no more than the tolerance somewhere.

    Example:
        >>> third = np.full(3, 0.333333)
        >>> rounded = Region(third, third, np.ones((0, 3)), np.zeros(0), np.zeros(0))
        >>> bool(possible(rounded).upper.sum() >= 1)
        True
    """
    missed = least_missed(*region.every_half_space, len(region.lower))
    return region if missed <= _ROUNDED else region.loosened(missed + _ROUNDED)


def least_missed(sides: Array, ends: Array, n_domains: int) -> float:
    """By how much shares that add up to 1 must miss the worst of some half-spaces.

    Args:
        sides: G, ``(n, n_domains)``.
        ends: h, ``(n,)``.
        n_domains: Shares, each 0 or more.

    Returns:
        The smallest t ≥ 0 for which Gλ ≤ h + t for some shares λ.
    """
    from scipy.optimize import linprog

    if not len(sides):
        return 0.0
    matrix = np.concatenate([sides, -np.ones((len(sides), 1))], axis=1)
    done = linprog(
        np.concatenate([np.zeros(n_domains), [1.0]]),
        A_ub=matrix,
        b_ub=ends,
        A_eq=np.concatenate([np.ones((1, n_domains)), np.zeros((1, 1))], axis=1),
        b_eq=[1.0],
        bounds=[(0, None)] * (n_domains + 1),
        method="highs-ds",
        options={"primal_feasibility_tolerance": _EXACT},
    )
    assert done.x is not None, f"a linear program that always has an answer: {done}"
    shares = done.x[:-1] / done.x[:-1].sum()
    return max(0.0, float((sides @ shares - ends).max()))
