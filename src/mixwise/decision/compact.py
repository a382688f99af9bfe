"""What the proxy is expected to miss, in a form that a page can carry and evaluate by itself.

Notation:
    λ_j: shares of reference j, j = 1..m.  c_j(λ): prior covariance of r over A² with reference j.
    f(λ) = (c_1, …, c_m, λ·λ_1, …, λ·λ_m, 1), shape ``(2m + 1,)``.
    p_g, A_g, σ_g, s_g, l_g: probability, size, noise and continuing's errors of combination g.

Method:
    Every combination's mean and variance are linear and quadratic in f, so that their mixture is

        E r = v·f ,   Var r = a v₀(λ) + s λ·λ + l + fᵀ W f ,

    with a, s, l the mean squares of A, s_g, l_g, and v₀ the prior variance of r over A². Exact:
    nothing is left out of `Discrepancy.predict`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array
from mixwise.decision.discrepancy import JITTER, Discrepancy, covariance, variance


@dataclass(frozen=True, slots=True, eq=False)
class CompactDiscrepancy:
    """Posterior of r(λ) as one linear and one quadratic form.

    Args:
        known: λ_j, shape ``(m, n_domains)``.
        linear: v, shape ``(2m + 1,)``.
        quadratic: W, symmetric, shape ``(2m + 1, 2m + 1)``.
        size: Mean square of A.
        single: Mean square of what continuing may miss of a single domain.
        level: Mean square of what it may miss of all alike.
        noise: σ that is expected, of one run.
    """

    known: Array
    linear: Array
    quadratic: Array
    size: float
    single: float
    level: float
    noise: float

    def predict(self, shares: Array) -> tuple[Array, Array]:
        """Expected r and its standard deviation, noise of a run left out.

        Args:
            shares: Mixtures, shape ``(n, n_domains)``.
        """
        features = _features(shares, self.known)
        own = self.size * variance(shares) + self.single * (shares**2).sum(axis=1) + self.level
        spread = own + np.einsum("ni,ij,nj->n", features, self.quadratic, features)
        return np.asarray(features @ self.linear), np.sqrt(np.maximum(spread, 0))


def compact(posterior: Discrepancy) -> CompactDiscrepancy:
    """Put the combinations of a posterior together.

    Args:
        posterior: What the proxy is expected to miss, with references or without.
    """
    m = len(posterior.known)
    linear, squares = np.zeros(2 * m + 1), np.zeros((2 * m + 1, 2 * m + 1))
    sizes = posterior.sizes**2
    singles = np.array([error.single**2 for error in posterior.errors])
    levels = np.array([error.level**2 for error in posterior.errors])
    prior, inner = covariance(posterior.known, posterior.known), posterior.known @ posterior.known.T
    rows = zip(posterior.probabilities, sizes, posterior.noises**2, singles, levels, strict=True)
    for probability, size, noise, single, level in rows:
        inside = size * prior + single * inner + level + noise * posterior.noise_covariance
        solved = np.linalg.inv(inside + JITTER * np.eye(m))
        terms = np.concatenate([size * np.eye(m), single * np.eye(m), np.full((1, m), level)])
        mean = terms @ (solved @ posterior.residuals)
        linear += probability * mean
        squares += probability * (np.outer(mean, mean) - terms @ solved @ terms.T)
    return CompactDiscrepancy(
        posterior.known,
        linear,
        squares - np.outer(linear, linear),
        float(posterior.probabilities @ sizes),
        float(posterior.probabilities @ singles),
        float(posterior.probabilities @ levels),
        posterior.noise,
    )


def _features(shares: Array, known: Array) -> Array:
    parts = [covariance(shares, known), shares @ known.T, np.ones((len(shares), 1))]
    return np.concatenate(parts, axis=1)
