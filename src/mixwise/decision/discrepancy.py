"""Two fidelities in one model: the proxy's score, corrected by the few references that exist.

Notation:
    λ: a mixture, ``(n_domains,)``.  J_p, J_r: a score by the proxy and by the reference.
    r(λ) = J_r − J_p, over all seeds.  h(λ) = (1 − Σ λᵢ²) / (1 − 1/n): 0 at corners, 1 at u.
    k: seeds of a reference.  σ: standard deviation of a run between seeds.  A: size of r.
    u: uniform mixture.  s: part of σ² that a seed does to all mixtures alike.

Method:
    r is a Gaussian process with mean 0 and covariance
    A² [(1 − ρ) h h' + ρ q(λ, λ') / q(u, u)] ,  q = Σ_{i<j} 16 λᵢλⱼλ'ᵢλ'ⱼ, u the uniform mixture,
    for the second-order gap between training and merging is a quadratic form in λ that vanishes at
    the corners: one part of it common to all pairs of domains, the rest each pair's own. A run adds
    noise of variance σ². A and σ are not chosen but averaged over, on a grid, each combination
    by its likelihood (means of the references, and the spread within their seeds) times a broad
    prior around values that the caller gives. So one reference corrects the level of all mixtures,
    and more of them correct single pairs.

Source:
    Kennedy & O'Hagan 2000 (Biometrika 87:1), the discrepancy between fidelities as a process of its
    own. The quadratic form: Wang et al. 2026 (arXiv 2601.17858), appendix.

Departures:
    Kennedy & O'Hagan fit both fidelities as processes; the proxy is so cheap that its score is
    taken as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_SHARED = 0.4  # s
_OWN = 0.005  # ρ: from the development mixtures of the truth bed, as all constants here
_GRID = np.exp(np.linspace(-2.5, 2.5, 11))  # of A and σ, times the caller's guesses
_PRIOR_WIDTH = 1.0  # of log A and log σ
_JITTER = 1e-9
_LEAST_TO_LEAVE_ONE_OUT = 2


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A mixture that was scored by both answers.

    Args:
        shares: λ, shape ``(n_domains,)``.
        proxy: J_p.
        references: J_r of each seed, shape ``(k,)``.
        seeds: The seeds.
    """

    shares: Array
    proxy: float
    references: Array
    seeds: tuple[int, ...]

    @property
    def residual(self) -> float:
        """Mean over the seeds of what the proxy misses."""
        return float(self.references.mean()) - self.proxy


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What is believed of r.

    Args:
        known: Shares of the references, shape ``(m, n_domains)``.
        residuals: Their mean residuals, shape ``(m,)``.
        noise_covariance: Covariance of their seeds' noise over σ², shape ``(m, m)``.
        sizes: A of each combination, shape ``(g,)``.
        noises: σ of each combination, shape ``(g,)``.
        beliefs: Probability of each combination, shape ``(g,)``.
    """

    known: Array
    residuals: Array
    noise_covariance: Array
    sizes: Array
    noises: Array
    beliefs: Array

    @property
    def noise(self) -> float:
        """Σ that is expected, of one run."""
        return float(np.sqrt(self.beliefs @ self.noises**2))

    def predict(self, shares: Array) -> tuple[Array, Array]:
        """Expected r and its standard deviation, noise of a run left out.

        Args:
            shares: Mixtures, shape ``(n, n_domains)``.
        """
        means, across, solved = self._means(shares)
        own = variance(shares) * self.sizes[:, None] ** 2
        variances = own - np.einsum("gnm,gmn->gn", across, solved)
        mean = self.beliefs @ means
        spread = self.beliefs @ (variances + (means - mean) ** 2)
        return mean, np.sqrt(np.maximum(spread, 0))

    def joint(self, shares: Array) -> tuple[Array, Array]:
        """Expected r ``(n,)`` and its covariance ``(n, n)`` over mixtures, of the same belief."""
        means, across, solved = self._means(shares)
        mean = self.beliefs @ means
        centred = means - mean
        inside = covariance(shares, shares) * float(self.beliefs @ self.sizes**2)
        for belief, one, weights in zip(self.beliefs, across, solved, strict=True):
            inside -= belief * (one @ weights)
        return mean, np.asarray(inside + (centred.T * self.beliefs) @ centred)

    def _means(self, shares: Array) -> tuple[Array, Array, Array]:
        """Per combination: means ``(g, n)``, covariances ``(g, n, m)``, weights ``(g, m, n)``."""
        square = self.sizes[:, None, None] ** 2
        across = square * covariance(shares, self.known)
        inside = square * covariance(self.known, self.known)
        inside = inside + self.noises[:, None, None] ** 2 * self.noise_covariance
        solved = np.linalg.solve(
            inside + _JITTER * np.eye(len(self.known)), across.transpose(0, 2, 1)
        )
        means = np.asarray(np.einsum("gmn,m->gn", solved, self.residuals), dtype=np.float64)
        return means, across, np.asarray(solved, dtype=np.float64)


def calibrate(trained: Sequence[Trained], *, size: float, noise: float) -> Calibration:
    """Learn what the proxy misses.

    Args:
        trained: References, at least one.
        size: Guess of A, > 0, in the score's unit.
        noise: Guess of σ, > 0; the spread within seeds outweighs it.

    Returns:
        The belief; combinations of A and σ that the data rule out are left out.
    """
    known = np.array([t.shares for t in trained])
    residuals = np.array([t.residual for t in trained])
    by_seed = _noise_covariance([t.seeds for t in trained])
    sizes, noises = (axis.ravel() for axis in np.meshgrid(size * _GRID, noise * _GRID))
    logs = -(np.log(sizes / size) ** 2 + np.log(noises / noise) ** 2) / (2 * _PRIOR_WIDTH**2)
    logs = logs + _log_likelihoods(trained, known, by_seed, sizes, noises)
    beliefs = np.exp(logs - logs.max())
    beliefs /= beliefs.sum()
    kept = beliefs > 1e-3 * beliefs.max()
    return Calibration(
        known, residuals, by_seed, sizes[kept], noises[kept], beliefs[kept] / beliefs[kept].sum()
    )


def covariance(left: Array, right: Array) -> Array:
    """Prior covariance of r over A², shape ``(n_left, n_right)``; 1 at the uniform mixture."""
    n = left.shape[1]
    uniform = np.full((1, n), 1 / n)
    own = _pairs(left) @ _pairs(right).T / float((_pairs(uniform) ** 2).sum())
    return np.asarray((1 - _OWN) * np.outer(evenness(left), evenness(right)) + _OWN * own)


def variance(shares: Array) -> Array:
    """Prior variance of r over A², shape ``(n,)``: the diagonal of `covariance`."""
    n = shares.shape[1]
    own = (_pairs(shares) ** 2).sum(axis=1) / float((_pairs(np.full((1, n), 1 / n)) ** 2).sum())
    return np.asarray((1 - _OWN) * evenness(shares) ** 2 + _OWN * own)


def evenness(shares: Array) -> Array:
    """h(λ) of mixtures ``(n, n_domains)``."""
    n = shares.shape[1]
    return np.asarray((1 - (shares**2).sum(axis=1)) / (1 - 1 / n))


def _pairs(shares: Array) -> Array:
    first, second = np.triu_indices(shares.shape[1], 1)
    return np.asarray(4 * shares[:, first] * shares[:, second])


def leave_one_out(trained: Sequence[Trained], *, size: float, noise: float) -> Array:
    """Expected r of each reference, learned from the others alone, shape ``(m,)``.

    A reference that has no others is expected to miss nothing.
    """
    if len(trained) < _LEAST_TO_LEAVE_ONE_OUT:
        return np.zeros(len(trained))
    return np.array(
        [
            calibrate([t for j, t in enumerate(trained) if j != k], size=size, noise=noise).predict(
                left.shares[None]
            )[0][0]
            for k, left in enumerate(trained)
        ]
    )


def _noise_covariance(seeds: Sequence[Sequence[int]]) -> Array:
    """Of the means over seeds: each run's own noise, and what runs of one seed share."""
    shared = np.array(
        [[len(set(a) & set(b)) / (len(a) * len(b)) for b in seeds] for a in seeds]
    ).reshape(len(seeds), len(seeds))
    own = np.diag([1 / len(a) for a in seeds]).reshape(len(seeds), len(seeds))
    return np.asarray((1 - _SHARED) * own + _SHARED * shared)


def _log_likelihoods(
    trained: Sequence[Trained], known: Array, by_seed: Array, sizes: Array, noises: Array
) -> Array:
    """Of the mean residuals, and of the spread within the seeds, for each combination."""
    residuals = np.array([t.residual for t in trained])
    within = sum(float(((t.references - t.references.mean()) ** 2).sum()) for t in trained)
    n_free = sum(len(t.references) - 1 for t in trained)
    prior = covariance(known, known)
    logs = []
    for size, noise in zip(sizes, noises, strict=True):
        inside = size**2 * prior + noise**2 * by_seed
        _, log_determinant = np.linalg.slogdet(inside)
        fit = float(residuals @ np.linalg.solve(inside, residuals))
        spread = within / (2 * noise**2) + n_free * np.log(noise)
        logs.append(-(fit + log_determinant) / 2 - spread)
    return np.array(logs)
