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
    the corners: one part of it common to all pairs of domains, the rest each pair's own. Where the
    proxy is continued to a longer horizon, what that may miss is added (`ContinuationError`). A run
    adds noise of variance σ². A, σ and a factor of that error are not chosen but averaged over, on
    a grid, each combination by its likelihood (means of the references, and the spread within their
    seeds) times a broad prior around values that the caller gives. So one reference corrects the
    level of all mixtures, and more of them correct single domains and pairs.

Source:
    Kennedy & O'Hagan 2000 (Biometrika 87:1), the discrepancy between fidelities as a process of its
    own. The quadratic form: Wang et al. 2026 (arXiv 2601.17858), appendix.

Departures:
    Kennedy & O'Hagan fit both fidelities as processes; the proxy is so cheap that its score is
    taken as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixwise.arrays import Array
from mixwise.extrapolation import NOT_CONTINUED, ContinuationError, average_error

_SHARED = 0.4  # s
OWN = 0.005  # ρ: from the development mixtures of the truth bed, as all constants here
_GRID = np.exp(np.linspace(-2.5, 2.5, 11))  # of A and σ, times the caller's guesses
_FACTORS = np.exp(np.linspace(-1, 3, 5))  # of what continuing may miss of single domains
_PRIOR_WIDTH = 1.0  # of log A, log σ and the log of these factors
JITTER = 1e-9
_LEAST_TO_LEAVE_ONE_OUT = 2
_LEAST_FOR_UNEXPLAINED = 4
# Guesses of A and σ in units of the objective, which are spreads between experts; from the truth
# bed's development mixtures. The references that are trained outweigh both.
SIZE = 0.2
NOISE = 0.1


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
class Discrepancy:
    """Posterior of the proxy-reference discrepancy r(λ).

    Args:
        known: Shares of the references, shape ``(m, n_domains)``.
        residuals: Their mean residuals, shape ``(m,)``.
        noise_covariance: Covariance of their seeds' noise over σ², shape ``(m, m)``.
        sizes: A of each combination, shape ``(g,)``.
        noises: σ of each combination, shape ``(g,)``.
        probabilities: Probability of each combination, shape ``(g,)``.
        errors: What continuing the proxy to a longer horizon may miss, for each combination.
    """

    known: Array
    residuals: Array
    noise_covariance: Array
    sizes: Array
    noises: Array
    probabilities: Array
    errors: tuple[ContinuationError, ...]

    @property
    def noise(self) -> float:
        """Σ that is expected, of one run."""
        return float(np.sqrt(self.probabilities @ self.noises**2))

    def predict(self, shares: Array) -> tuple[Array, Array]:
        """Expected r and its standard deviation, noise of a run left out.

        Args:
            shares: Mixtures, shape ``(n, n_domains)``.
        """
        means, across, solved = self._means(shares)
        own = variance(shares) * self.sizes[:, None] ** 2
        own = own + np.stack([error.variance(shares) for error in self.errors])
        variances = own - np.einsum("gnm,gmn->gn", across, solved)
        mean = self.probabilities @ means
        spread = self.probabilities @ (variances + (means - mean) ** 2)
        return mean, np.sqrt(np.maximum(spread, 0))

    def joint(self, shares: Array) -> tuple[Array, Array]:
        """Expected r ``(n,)`` and its covariance ``(n, n)`` over mixtures."""
        means, across, solved = self._means(shares)
        mean = self.probabilities @ means
        centred = means - mean
        inside = covariance(shares, shares) * float(self.probabilities @ self.sizes**2)
        inside += average_error(self.errors, self.probabilities).covariance(shares, shares)
        for probability, one, weights in zip(self.probabilities, across, solved, strict=True):
            inside -= probability * (one @ weights)
        return mean, np.asarray(inside + (centred.T * self.probabilities) @ centred)

    def _means(self, shares: Array) -> tuple[Array, Array, Array]:
        """Per combination: means ``(g, n)``, covariances ``(g, n, m)``, weights ``(g, m, n)``."""
        square = self.sizes[:, None, None] ** 2
        across = square * covariance(shares, self.known) + self._continued(shares)
        inside = square * covariance(self.known, self.known) + self._continued(self.known)
        inside = inside + self.noises[:, None, None] ** 2 * self.noise_covariance
        solved = np.linalg.solve(
            inside + JITTER * np.eye(len(self.known)), across.transpose(0, 2, 1)
        )
        means = np.asarray(np.einsum("gmn,m->gn", solved, self.residuals), dtype=np.float64)
        return means, across, np.asarray(solved, dtype=np.float64)

    def _continued(self, shares: Array) -> Array:
        found = {error: error.covariance(shares, self.known) for error in set(self.errors)}
        return np.stack([found[error] for error in self.errors])


def fit_discrepancy(
    trained: Sequence[Trained],
    *,
    size: float = SIZE,
    noise: float = NOISE,
    continued: ContinuationError = NOT_CONTINUED,
) -> Discrepancy:
    """Learn what the proxy misses.

    Args:
        trained: References, at least one.
        size: Guess of A, > 0, in the score's unit.
        noise: Guess of σ, > 0; the spread within seeds outweighs it.
        continued: Guess of what continuing the proxy to a longer horizon may miss of single
            domains, and what it may miss of the level.

    Returns:
        The posterior; combinations of A, σ and this that the data rule out are left out.
    """
    known = np.array([t.shares for t in trained])
    residuals = np.array([t.residual for t in trained])
    by_seed = _noise_covariance([t.seeds for t in trained])
    factors = _FACTORS if continued.single else np.ones(1)
    grid = np.meshgrid(size * _GRID, noise * _GRID, factors)
    sizes, noises, factors = (axis.ravel() for axis in grid)
    far = [np.log(sizes / size), np.log(noises / noise), np.log(factors)]
    logs = -np.square(far).sum(axis=0) / (2 * _PRIOR_WIDTH**2)
    errors = [replace(continued, single=continued.single * float(f)) for f in factors]
    logs = logs + _log_likelihoods(trained, known, by_seed, errors, sizes, noises)
    weights = np.exp(logs - logs.max())
    kept = weights > 1e-3 * weights.max()
    return Discrepancy(
        known,
        residuals,
        by_seed,
        sizes[kept],
        noises[kept],
        weights[kept] / weights[kept].sum(),
        tuple(error for error, is_kept in zip(errors, kept, strict=True) if is_kept),
    )


def prior_discrepancy(
    n_domains: int, *, continued: ContinuationError = NOT_CONTINUED
) -> Discrepancy:
    """What is expected before any reference is trained: nothing on average, of the usual size."""
    return Discrepancy(
        known=np.zeros((0, n_domains)),
        residuals=np.zeros(0),
        noise_covariance=np.zeros((0, 0)),
        sizes=np.array([SIZE]),
        noises=np.array([NOISE]),
        probabilities=np.ones(1),
        errors=(continued,),
    )


def covariance(left: Array, right: Array) -> Array:
    """Prior covariance of r over A², shape ``(n_left, n_right)``; 1 at the uniform mixture."""
    n = left.shape[1]
    uniform = np.full((1, n), 1 / n)
    own = _pairs(left) @ _pairs(right).T / float((_pairs(uniform) ** 2).sum())
    return np.asarray((1 - OWN) * np.outer(evenness(left), evenness(right)) + OWN * own)


def variance(shares: Array) -> Array:
    """Prior variance of r over A², shape ``(n,)``: the diagonal of `covariance`."""
    n = shares.shape[1]
    own = (_pairs(shares) ** 2).sum(axis=1) / float((_pairs(np.full((1, n), 1 / n)) ** 2).sum())
    return np.asarray((1 - OWN) * evenness(shares) ** 2 + OWN * own)


def evenness(shares: Array) -> Array:
    """h(λ) of mixtures ``(n, n_domains)``."""
    n = shares.shape[1]
    return np.asarray((1 - (shares**2).sum(axis=1)) / (1 - 1 / n))


def _pairs(shares: Array) -> Array:
    first, second = np.triu_indices(shares.shape[1], 1)
    return np.asarray(4 * shares[:, first] * shares[:, second])


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """Each reference predicted from all the others.

    Args:
        expected: Expected r, shape ``(m,)``; zero where there are no others.
        deviations: Its standard deviation, noise of a run left out, shape ``(m,)``.
        noises: σ as expected from the others, shape ``(m,)``.
    """

    expected: Array
    deviations: Array
    noises: Array


def leave_one_out(
    trained: Sequence[Trained],
    *,
    size: float = SIZE,
    noise: float = NOISE,
    continued: ContinuationError = NOT_CONTINUED,
) -> LeftOut:
    """Predict the discrepancy of each reference from the others alone."""
    if len(trained) < _LEAST_TO_LEAVE_ONE_OUT:
        nothing = np.zeros(len(trained))
        return LeftOut(nothing, nothing, nothing)
    rows = []
    for k, left in enumerate(trained):
        others = [t for j, t in enumerate(trained) if j != k]
        posterior = fit_discrepancy(others, size=size, noise=noise, continued=continued)
        mean, deviation = posterior.predict(left.shares[None])
        rows.append((float(mean[0]), float(deviation[0]), posterior.noise))
    return LeftOut(*np.array(rows).T)


def unexplained(
    trained: Sequence[Trained], *, continued: ContinuationError = NOT_CONTINUED
) -> float:
    """Standard deviation of what the posterior does not expect of references that it has not seen.

    Left out one by one, references miss their prediction by more than its own deviation and the
    noise of their runs where the proxy ranks badly; zero where there are too few to say.
    """
    if len(trained) < _LEAST_FOR_UNEXPLAINED:
        return 0.0
    left = leave_one_out(trained, continued=continued)
    missed = np.array([t.residual for t in trained]) - left.expected
    n_seeds = np.array([len(t.seeds) for t in trained])
    known = left.deviations**2 + left.noises**2 / n_seeds
    return float(np.sqrt(max(float((missed**2 - known).mean()), 0.0)))


def _noise_covariance(seeds: Sequence[Sequence[int]]) -> Array:
    """Of the means over seeds: each run's own noise, and what runs of one seed share."""
    shared = np.array(
        [[len(set(a) & set(b)) / (len(a) * len(b)) for b in seeds] for a in seeds]
    ).reshape(len(seeds), len(seeds))
    own = np.diag([1 / len(a) for a in seeds]).reshape(len(seeds), len(seeds))
    return np.asarray((1 - _SHARED) * own + _SHARED * shared)


def _log_likelihoods(
    trained: Sequence[Trained],
    known: Array,
    by_seed: Array,
    errors: Sequence[ContinuationError],
    sizes: Array,
    noises: Array,
) -> Array:
    """Of the mean residuals, and of the spread within the seeds, for each combination."""
    residuals = np.array([t.residual for t in trained])
    within = sum(float(((t.references - t.references.mean()) ** 2).sum()) for t in trained)
    n_free = sum(len(t.references) - 1 for t in trained)
    prior = covariance(known, known)
    by_error = {error: error.covariance(known, known) for error in set(errors)}
    logs = []
    for size, noise, error in zip(sizes, noises, errors, strict=True):
        inside = size**2 * prior + by_error[error] + noise**2 * by_seed
        _, log_determinant = np.linalg.slogdet(inside)
        fit = float(residuals @ np.linalg.solve(inside, residuals))
        spread = within / (2 * noise**2) + n_free * np.log(noise)
        logs.append(-(fit + log_determinant) / 2 - spread)
    return np.array(logs)
