"""A region of the simplex as arrays: bounds of each share, and limits of sums of shares.

Notation:
    λ: shares, ``(n_domains,)``, sum 1.  l, u: bounds, l ≤ λ ≤ u.
    aₖ, bₖ, cₖ: a limit, bₖ ≤ aₖᵀλ ≤ cₖ.  Each row is divided by its largest |a|, so that one
    tolerance serves them all.
    G, h: the same limits as half-spaces, Gλ ≤ h.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array

TOLERANCE = 1e-6  # by which a rule may be missed, in shares


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Where shares may lie.

    Args:
        lower: l, ``(n_domains,)``.
        upper: u, ``(n_domains,)``.
        rows: a, ``(n_limits, n_domains)``, any scale.
        least: b, ``(n_limits,)``; −inf where there is none.
        most: c, ``(n_limits,)``; inf where there is none.
    """

    lower: Array
    upper: Array
    rows: Array
    least: Array
    most: Array

    def __post_init__(self) -> None:
        scale = np.abs(self.rows).max(axis=1, initial=0.0)
        scale = np.where(scale > 0, scale, 1.0)
        object.__setattr__(self, "rows", self.rows / scale[:, None])
        object.__setattr__(self, "least", self.least / scale)
        object.__setattr__(self, "most", self.most / scale)

    @property
    def is_equality(self) -> npt.NDArray[np.bool_]:
        """Of which limits both sides are the same, ``(n_limits,)``."""
        return np.asarray(self.least == self.most)

    @property
    def half_spaces(self) -> tuple[Array, Array]:
        """G, ``(n, n_domains)``, and h, ``(n,)``: of every side of a limit that there is."""
        above, below = np.isfinite(self.most), np.isfinite(self.least)
        sides = np.concatenate([self.rows[above], -self.rows[below]])
        return sides, np.concatenate([self.most[above], -self.least[below]])

    @property
    def every_half_space(self) -> tuple[Array, Array]:
        """The same with those of the bounds before them."""
        sides, ends = self.half_spaces
        one = np.eye(len(self.lower))
        return np.concatenate([one, -one, sides]), np.concatenate([self.upper, -self.lower, ends])

    def loosened(self, by: float) -> Region:
        """The region with every bound and limit moved outwards, in shares."""
        return Region(
            np.maximum(self.lower - by, 0.0),
            np.minimum(self.upper + by, 1.0),
            self.rows,
            self.least - by,
            self.most + by,
        )

    def holds(self, points: Array, tolerance: float = TOLERANCE) -> npt.NDArray[np.bool_]:
        """Whether points keep the limits (bounds are not looked at), ``(n,)``."""
        sides, ends = self.half_spaces
        return np.asarray((points @ sides.T <= ends + tolerance).all(axis=1))
