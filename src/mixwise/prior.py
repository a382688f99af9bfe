"""A mixture to stay close to: what leaving it costs, in units of the objective.

Notation:
    λ: shares.  p: the prior's, all above 0.  w: weight.

Method:
    w KL(λ‖p) = w Σ λᵢ log(λᵢ / pᵢ), in nats, is taken off the objective of every mixture that is
    compared; its slopes are −w (log(λᵢ / pᵢ) + 1). It is 0 at the prior and grows with the square
    of the distance near it.

Source:
    Olmix (arXiv 2602.12237) adds the same term to predicted losses.

Departures:
    The objective here is in spreads of the metrics, so w has that unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import RecipeError
from mixwise.mixture import Mixture

_SMALLEST = 1e-9  # share, in slopes


class Pull(Protocol):
    """What is taken off the objective of mixtures that leave a prior."""

    def penalty(self, shares: Array) -> Array:
        """What is taken off, ``(n, n_domains)`` → ``(n,)``."""
        ...

    def slopes(self, shares: Array) -> Array:
        """Its slopes in the shares, ``(n, n_domains)``."""
        ...


@dataclass(frozen=True, slots=True)
class Prior:
    """A mixture to stay close to.

    Args:
        mixture: p; every share above 0.
        weight: w, in units of the objective for each nat.

    Raises:
        RecipeError: If a share of the prior is 0, or the weight is not above 0.

    Example:
        >>> prior = Prior(Mixture(("a", "b"), (0.5, 0.5)), 0.1)
        >>> prior.penalty(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4).tolist()
        [0.0, 0.0693]
    """

    mixture: Mixture
    weight: float

    def __post_init__(self) -> None:
        missing = [name for name, share in self.mixture.as_dict().items() if share <= 0]
        if missing:
            raise RecipeError(
                f"the prior must have a share of every domain, but has none of `{missing[0]}`: "
                "give it one, or limit its share to 0 instead"
            )
        if not (np.isfinite(self.weight) and self.weight > 0):
            raise RecipeError(
                f"the weight of the prior must be above 0, but got {self.weight:g}: change it"
            )

    def divergence(self, shares: Array) -> Array:
        """KL(λ‖p) in nats, ``(n, n_domains)`` → ``(n,)``."""
        kept = np.maximum(shares, _SMALLEST)
        logs = np.log(kept / self.mixture.array)
        return np.asarray((np.maximum(shares, 0.0) * logs).sum(axis=1))

    def penalty(self, shares: Array) -> Array:
        """What is taken off the objective, ``(n, n_domains)`` → ``(n,)``."""
        return self.weight * self.divergence(shares)

    def slopes(self, shares: Array) -> Array:
        """Slopes of the penalty in the shares, ``(n, n_domains)``."""
        kept = np.maximum(shares, _SMALLEST)
        return np.asarray(self.weight * (np.log(kept / self.mixture.array) + 1))
