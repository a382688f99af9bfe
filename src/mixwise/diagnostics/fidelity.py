"""How well one answer ranks mixtures against another, with intervals and the ceiling of noise.

Notation:
    x, y: a metric by the proxy and by the reference, ``(n,)``, turned so that larger is better.
    k: seeds of each reference.  σ: noise of one run.  r: agreement of single runs.

Method:
    Spearman ρ and Kendall τ over all mixtures; top-quarter ρ over the ⌈n/4⌉ best by the reference
    (undefined below 3); regret = max y − y[argmax x] ≥ 0. Intervals: percentiles of 2,000 bootstrap
    draws of mixtures. σ² = mean over mixtures of the variance between seeds. The ceiling that noise
    allows: r is the mean Spearman ρ between single seeds; Spearman–Brown gives the reliability
    k r / (1 + (k − 1) r) of the mean of k seeds, and its root is the ρ that the noiseless truth
    itself would reach.

Source:
    Spearman 1904; Kendall 1938 (τ_b); Brown 1910; Efron 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_N_BOOTSTRAP = 2000
_LEAST_RANKED = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval; all None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Agreement of two answers on one metric.

    Args:
        n_mixtures: Mixtures compared.
        n_seeds: Seeds of each reference.
        spearman: Rank correlation over all mixtures.
        kendall: The same as τ_b.
        top_quarter: Spearman ρ among the best quarter by the reference.
        regret: Reference score lost by trusting the proxy's pick, in the metric's unit.
        mean_absolute_error: Of the proxy, in the metric's unit.
        bias: Mean of proxy − reference, in the metric's unit.
        seed_noise: Standard deviation between seeds of one run; None with one seed.
        seed_spearman: Mean Spearman ρ between single seeds; None with one seed.
        ceiling: The ρ that the noiseless truth would reach; None where it is not defined.
    """

    n_mixtures: int
    n_seeds: int
    spearman: Estimate
    kendall: Estimate
    top_quarter: Estimate
    regret: Estimate
    mean_absolute_error: Estimate
    bias: Estimate
    seed_noise: float | None
    seed_spearman: float | None
    ceiling: float | None


def measure_fidelity(proxy: Array, reference: Array, *, sign: int, seed: int) -> Fidelity:
    """Compare the proxy with the reference over mixtures.

    Args:
        proxy: Metric by the proxy, shape ``(n,)``.
        reference: Metric by the reference, one column per seed, shape ``(n, n_seeds)``.
        sign: +1 where larger is better, −1 where smaller is.
        seed: Of the bootstrap.

    Returns:
        Every figure with its interval.

    Example:
        >>> x = np.arange(8.0)
        >>> measure_fidelity(x, x[:, None], sign=1, seed=0).spearman.value
        1.0
    """
    truth = reference.mean(axis=1)
    n = len(proxy)
    draws = np.random.default_rng(seed).integers(0, n, (_N_BOOTSTRAP, n))
    draws = np.concatenate([np.arange(n)[None], draws])
    x, y = sign * proxy[draws], sign * truth[draws]
    n_seeds = reference.shape[1]
    noise = float(np.sqrt(reference.var(axis=1, ddof=1).mean())) if n_seeds > 1 else None
    agreement = _seed_agreement(reference)
    error = (proxy - truth)[draws]
    return Fidelity(
        n_mixtures=n,
        n_seeds=n_seeds,
        spearman=_estimate(spearman_rows(x, y)),
        kendall=_estimate(kendall_rows(x, y)),
        top_quarter=_estimate(_top_quarter_rows(x, y)),
        regret=_estimate(y.max(axis=1) - np.take_along_axis(y, x.argmax(axis=1)[:, None], 1)[:, 0]),
        mean_absolute_error=_estimate(np.abs(error).mean(axis=1)),
        bias=_estimate(error.mean(axis=1)),
        seed_noise=noise,
        seed_spearman=agreement,
        ceiling=_ceiling(agreement, n_seeds),
    )


def spearman_rows(x: Array, y: Array) -> Array:
    """Spearman ρ of each row of two ``(m, n)`` arrays; NaN where a row is constant."""
    from scipy.stats import rankdata  # a second to import, and `check` does without it

    ranks = [rankdata(values, axis=1) for values in (x, y)]
    centred = [r - r.mean(axis=1, keepdims=True) for r in ranks]
    scale = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    products = (centred[0] * centred[1]).sum(axis=1)
    return np.divide(products, scale, out=np.full(len(x), np.nan), where=scale > 1e-12)


def kendall_rows(x: Array, y: Array) -> Array:
    """Kendall τ_b of each row of two ``(m, n)`` arrays; NaN where a row is constant."""
    concordance = np.zeros(len(x))
    pairs_x, pairs_y = np.zeros(len(x)), np.zeros(len(x))
    for i, j in combinations(range(x.shape[1]), 2):
        dx, dy = np.sign(x[:, i] - x[:, j]), np.sign(y[:, i] - y[:, j])
        concordance += dx * dy
        pairs_x += dx != 0
        pairs_y += dy != 0
    scale = np.sqrt(pairs_x * pairs_y)
    return np.divide(concordance, scale, out=np.full(len(x), np.nan), where=scale > 0)


def seed_noise(groups: Sequence[Sequence[float]]) -> float | None:
    """Pooled standard deviation between seeds of one run.

    Args:
        groups: Scores of the seeds of each mixture; mixtures with one seed say nothing.

    Returns:
        √(mean of the variances), or None when no mixture has two seeds.
    """
    variances = [float(np.var(group, ddof=1)) for group in groups if len(group) > 1]
    return float(np.sqrt(np.mean(variances))) if variances else None


def _top_quarter_rows(x: Array, y: Array) -> Array:
    k = -(-x.shape[1] // 4)
    if k < _LEAST_RANKED:
        return np.full(len(x), np.nan)
    best = np.argsort(-y, axis=1, kind="stable")[:, :k]
    return spearman_rows(np.take_along_axis(x, best, 1), np.take_along_axis(y, best, 1))


def _seed_agreement(reference: Array) -> float | None:
    pairs = list(combinations(range(reference.shape[1]), 2))
    if not pairs or len(reference) < _LEAST_RANKED:
        return None
    columns = reference.T
    rho = spearman_rows(columns[[i for i, _ in pairs]], columns[[j for _, j in pairs]])
    return None if np.isnan(rho).any() else float(rho.mean())


def _ceiling(agreement: float | None, n_seeds: int) -> float | None:
    if agreement is None or agreement <= 0:
        return None
    return float(np.sqrt(n_seeds * agreement / (1 + (n_seeds - 1) * agreement)))


def _estimate(rows: Array) -> Estimate:
    """The first row is the figure itself, the others are bootstrap draws."""
    if np.isnan(rows[0]):
        return Estimate(None)
    low, high = np.nanpercentile(rows[1:], [2.5, 97.5])
    return Estimate(float(rows[0]), float(low), float(high))
