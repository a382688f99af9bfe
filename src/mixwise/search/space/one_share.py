"""Limits that are of one share alone, and a space in which they are bounds of it.

Notation:
    λ: shares, sum 1.  a, b, c: a limit, b ≤ aᵀλ ≤ c.

Method:
    Where all coefficients but the k-th are the same r, aᵀλ = r + (a_k − r) λ_k. Of two shares each
    limit is such a one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import Limit, MixtureSpace


@dataclass(frozen=True, slots=True)
class OneShare:
    """A limit that is one of a single share.

    Args:
        place: Of the share.
        least: −inf for none.
        most: inf for none.
    """

    place: int
    least: float
    most: float


def one_share(row: Array, least: float | None, most: float | None) -> OneShare | None:
    """What a limit says of one share; None where it is of several.

    Args:
        row: a, ``(n_domains,)``.
        least: b; None or −inf for none.
        most: c; None or inf for none.

    Example:
        >>> one_share(np.array([3.0, 0.0, 0.0]), None, 1.5)
        OneShare(place=0, least=-inf, most=0.5)
    """
    k = int(np.abs(row - np.median(row)).argmax())
    others = np.delete(row, k)
    rest, rise = float(others[0]), float(row[k] - others[0])
    if np.ptp(others) > 0 or rise == 0:
        return None
    low = -np.inf if least is None else (least - rest) / rise
    high = np.inf if most is None else (most - rest) / rise
    if rise > 0:
        return OneShare(k, low, high)
    return OneShare(k, -np.inf if most is None else high, np.inf if least is None else low)


def with_bounds(space: MixtureSpace) -> MixtureSpace:
    """The same mixtures, limits of one share as bounds of it.

    Groups grow from the lower bounds of their members (`across`), so that a share that is held is
    held alone, and its group is not.

    Args:
        space: Any.
    """
    region, kept = space.region, list[Limit]()
    lower, upper = region.lower.copy(), region.upper.copy()
    rows = zip(space.limits, region.rows, region.least, region.most, strict=True)
    for limit, row, least, most in rows:
        one = one_share(row, float(least), float(most))
        if one is None:
            kept.append(limit)
            continue
        k = one.place
        lower[k] = np.clip(one.least, lower[k], upper[k])
        upper[k] = np.clip(one.most, lower[k], upper[k])
    return replace(
        space, lower=tuple(lower.tolist()), upper=tuple(upper.tolist()), limits=tuple(kept)
    )
