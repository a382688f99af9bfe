"""A Gaussian process over square roots of shares, for values of many and sparse mixtures.

Notation:
    λ: shares, ``(n, N)``.  z = √λ.  y: a metric, ``(n,)``.
    ℓ_i: length of domain i.  σ², ν²: variance of the metric, and of the noise of one run.

Method:
    k(λ, λ') = σ² Matérn₅⸝₂(r),  r² = Σ_i (z_i − z'_i)² / ℓ_i² .
    With equal lengths r is the Hellinger distance of two mixtures: a first percent of a domain
    counts as much as many at a large share, which is how losses fall. A length per domain lets a
    domain count for nothing. All are those of the largest likelihood, from at most 200 rows.

Source:
    Rasmussen & Williams 2006, §5.1 (lengths by likelihood) and §2.2; scikit-learn's regressor.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixwise.arrays import Array

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

_MOST_ROWS = 200  # that the lengths are learned from
_LENGTHS = (0.05, 100.0)
_VARIANCES = (1e-3, 1e3)  # of the metric, its own being 1
_NOISES = (1e-6, 1.0)
_FIRST_NOISE = 1e-2
_BLOCK = 4096  # mixtures that are predicted at once


@dataclass(frozen=True, slots=True, eq=False)
class HellingerModel:
    """A fitted metric.

    Args:
        regressor: Over √λ, its noise included.
        noise: ν, in the metric's unit.
    """

    regressor: GaussianProcessRegressor
    noise: float

    def predict(self, shares: Array) -> Array:
        """What a run on each mixture is expected to give, ``(n, n_domains)`` → ``(n,)``."""
        blocks = [_roots(shares[k : k + _BLOCK]) for k in range(0, len(shares), _BLOCK)]
        return np.concatenate([np.asarray(self.regressor.predict(block)) for block in blocks])

    def joint(self, shares: Array) -> tuple[Array, Array]:
        """Mean and covariance of what infinitely many runs would give.

        Args:
            shares: Shape ``(n, n_domains)``.

        Returns:
            ``(n,)`` and ``(n, n)``.
        """
        mean, covariance = self.regressor.predict(_roots(shares), return_cov=True)
        return np.asarray(mean), np.asarray(covariance) - self.noise**2 * np.eye(len(shares))

    def deviation(self, shares: Array) -> Array:
        """Standard deviation of a run on each mixture, its noise included, ``(n,)``."""
        return np.asarray(self.regressor.predict(_roots(shares), return_std=True)[1])


def fit_hellinger(
    shares: Array, values: Array, *, length_per_domain: bool, seed: int
) -> HellingerModel:
    """Fit one metric.

    Args:
        shares: λ, a row a run; a mixture may stand in several.
        values: y.
        length_per_domain: Whether every domain has a length of its own.
        seed: Decides which rows the lengths are learned from, where there are many.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    roots = _roots(shares)
    lengths = np.ones(roots.shape[1]) if length_per_domain else 1.0
    kernel = ConstantKernel(1.0, _VARIANCES) * Matern(lengths, _LENGTHS, nu=2.5)
    some = np.random.default_rng(seed).permutation(len(roots))[:_MOST_ROWS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # lengths at their bounds are meant
        learned = GaussianProcessRegressor(
            kernel + WhiteKernel(_FIRST_NOISE, _NOISES), normalize_y=True
        ).fit(roots[some], values[some])
        regressor = GaussianProcessRegressor(learned.kernel_, optimizer=None, normalize_y=True).fit(
            roots, values
        )
    unit = float(np.std(values)) or 1.0
    return HellingerModel(regressor, float(np.sqrt(learned.kernel_.k2.noise_level)) * unit)


def _roots(shares: Array) -> Array:
    """√λ; searches step over the edge by a rounding, where there is no root."""
    return np.sqrt(np.maximum(shares, 0.0))
