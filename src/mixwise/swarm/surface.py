"""The objective over all mixtures, as the surrogates of its metrics know it.

Notation:
    y_m: metric m.  s_m: +1 where larger is better, −1 where smaller is.  μ_m, σ_m: its mean and
    standard deviation over the runs.  J = mean_m s_m (y_m − μ_m) / σ_m.
    R: correlation of what the surrogates of two metrics miss.  v: by how much their intervals are
    widened.

Method:
    Each metric has a surrogate of its own, because each has other domains that matter. What they
    miss of one run goes together, as a run is better or worse in everything; so draws of all
    metrics share R. Both R and v come from runs that the surrogates did not see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array
from mixwise.search.surrogates.hellinger import HellingerModel
from mixwise.swarm.table import SwarmTable

_JITTERS = tuple(10.0**k for k in range(-6, 1))  # of the largest entry
_NONE = 1e-300  # in place of 0, where nothing varies


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """How metrics become the objective.

    Args:
        signs: s, ``(n_metrics,)``.
        means: μ.
        spreads: σ; 1 where a metric is the same for all runs, which then tells nothing.
    """

    signs: Array
    means: Array
    spreads: Array

    @classmethod
    def of(cls, table: SwarmTable) -> Units:
        """Those of a table."""
        spreads = table.spreads
        return cls(table.signs, table.values.mean(axis=0), np.where(spreads > 0, spreads, 1.0))

    def objective(self, values: Array) -> Array:
        """J of metrics, ``(…, n_metrics)`` → ``(…)``."""
        return np.asarray((self.signs * (values - self.means) / self.spreads).mean(axis=-1))

    def deviation(self, deviations: Array, correlation: Array) -> Array:
        """Standard deviation of J from those of the metrics, ``(n, n_metrics)`` → ``(n,)``."""
        own = self.signs * deviations / self.spreads / len(self.signs)
        return np.sqrt(np.maximum(np.einsum("nm,mk,nk->n", own, correlation, own), 0))


@dataclass(frozen=True, slots=True, eq=False)
class SwarmSurface:
    """The objective's posterior.

    Args:
        models: One a metric.
        units: How they become J.
        correlation: R, ``(n_metrics, n_metrics)``.
        widened: v, ≥ 1.
    """

    models: tuple[HellingerModel, ...]
    units: Units
    correlation: Array
    widened: float

    def metrics(self, shares: Array) -> Array:
        """Expected metrics, ``(n, n_domains)`` → ``(n, n_metrics)``."""
        return np.stack([model.predict(shares) for model in self.models], axis=1)

    def value(self, shares: Array) -> Array:
        """Expected J, ``(n, n_domains)`` → ``(n,)``."""
        return self.units.objective(self.metrics(shares))

    def run_deviation(self, shares: Array) -> Array:
        """Standard deviation of J of a run on each mixture, ``(n,)``, widened."""
        single = np.stack([model.deviation(shares) for model in self.models], axis=1)
        return self.widened * self.units.deviation(single, self.correlation)

    @property
    def noise(self) -> float:
        """Standard deviation of J between runs of one mixture."""
        single = np.array([[model.noise for model in self.models]])
        return float(self.units.deviation(single, self.correlation)[0])

    def draws(self, shares: Array, n: int, *, seed: int) -> Array:
        """Draws of J without the noise of runs, all points together, ``(n, n_points)``, widened."""
        rng = np.random.default_rng(seed)
        normal = rng.standard_normal((n, len(shares), len(self.models)))
        together = normal @ np.linalg.cholesky(self.correlation).T
        drawn = np.empty_like(normal)
        for m, model in enumerate(self.models):
            mean, covariance = model.joint(shares)
            drawn[:, :, m] = mean + self.widened * together[:, :, m] @ _factor(covariance).T
        return self.units.objective(drawn)


def _factor(covariance: Array) -> Array:
    """Cholesky factor of a covariance, with the least jitter that lets it exist.

    Where runs have hardly any noise, rounding leaves variances below 0, as large as others are
    above it. A jitter of the size of all entries together outweighs any of them.
    """
    n = len(covariance)
    largest = float(np.abs(covariance).max()) or _NONE
    for jitter in _JITTERS:
        try:
            return np.asarray(np.linalg.cholesky(covariance + jitter * largest * np.eye(n)))
        except np.linalg.LinAlgError:
            continue
    return np.asarray(np.linalg.cholesky(covariance + 2 * n * largest * np.eye(n)))
