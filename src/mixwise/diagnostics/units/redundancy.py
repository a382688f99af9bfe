"""Redundant units: how many of a layer's components hardly vary.

Notation:
    λ₁ ≤ … ≤ λₙ: variances of the principal components of a layer's activity, n its units.

Method:
    The least k with λ₁ + … + λₖ over 5 % of all variance, as k/n. Means and co-moments are summed
    in float64 as activity passes, batch by batch: one matrix per layer is kept and no activity.

Source:
    Casper, Boix et al. 2021 (arXiv 1912.04783) and their code (xboix/frivolous_dnns), in which k
    counts the component that passes 5 %; Chan, Golub and LeVeque 1979 for the sums.

Departures:
    All of the given inputs' activity is used and not a sample of it. A layer whose activity never
    varies counts as redundant throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from mixwise.arrays import Array
from mixwise.errors import EvaluationError

_VARIANCE = 0.05
_ROUNDING = float(np.finfo(np.float32).eps) ** 2  # of a variance, relative to the mean's square


def redundancy(variances: Array) -> float:
    """The share of components, smallest first, that it takes to hold over 5 % of the variance.

    Args:
        variances: Variances of a layer's principal components, in any order, shape ``(n_units,)``.

    Example:
        >>> redundancy(np.array([0.0, 0.0, 0.5, 0.5]))
        0.75
    """
    held = np.cumsum(np.sort(variances.clip(min=0)))
    if held[-1] == 0:
        return 1.0
    return float(np.searchsorted(held / held[-1], _VARIANCE, side="right") + 1) / len(variances)


@dataclass(slots=True)
class Covariance:
    """Mean and co-moments of a layer's units, summed batch by batch.

    Attributes:
        n: Places at which they were active: examples, times positions.
        mean: Mean of each unit, ``(n_units,)``.
        moments: Σ (x − mean)(x − mean)ᵀ, ``(n_units, n_units)``.
    """

    n: int = 0
    mean: Array = field(default_factory=lambda: np.zeros(0))
    moments: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, units: Tensor) -> Tensor:
        """Take a batch of activity in, units on the last axis, and give it back as it is."""
        rows = units.reshape(-1, units.shape[-1])
        rows = (rows.cpu() if rows.device.type == "mps" else rows).double()  # MPS has no float64
        mean = rows.mean(dim=0)
        centred = rows - mean
        self._merge(len(rows), mean.cpu().numpy(), (centred.T @ centred).cpu().numpy())
        return units

    def _merge(self, n: int, mean: Array, moments: Array) -> None:
        if self.n == 0:
            self.n, self.mean, self.moments = n, mean, moments
            return
        step = mean - self.mean
        self.moments += moments + np.outer(step, step) * (self.n * n / (self.n + n))
        self.mean = self.mean + step * (n / (self.n + n))
        self.n += n

    @property
    def n_units(self) -> int:
        """Units that were seen; 0 before any was."""
        return len(self.mean)

    def redundancy(self, name: str) -> float:
        """Redundancy of the layer.

        Args:
            name: The layer's, for errors.

        Raises:
            EvaluationError: If the layer was never active, or at fewer places than it has units, or
                not by finite numbers.
        """
        if self.n == 0:
            raise EvaluationError(
                f"`{name}`: takes no part in the network's predictions: leave it out"
            )
        if self.n <= self.n_units:
            raise EvaluationError(
                f"`{name}`: its {self.n_units} units need activity at more places than that, but "
                f"the inputs have {self.n}: give more inputs"
            )
        if not np.isfinite(self.moments).all():
            raise EvaluationError(
                f"`{name}`: its activity must be finite, but it is not: look at the model"
            )
        if np.trace(self.moments) <= _ROUNDING * self.n * float(self.mean @ self.mean):
            return 1.0
        return redundancy(np.linalg.eigvalsh(self.moments).astype(np.float64))
