"""How well one answer ranks mixtures against another, beside what noise allows and chance gives.

Notation:
    x: a metric by the proxy, ``(n,)``.  y_is: by the reference of mixture i with seed s.
    k_i: seeds of mixture i.  K: seeds in all.  μ_i: what infinitely many seeds would give.

Method:
    A seed decides the order of the data, and so moves all mixtures alike to some extent:
    y_is = μ_i + b_s + ε_is, with Σ b_s = 0, fitted by least squares. The truth is
    ȳ_i = mean of y_is − b_s, so that mixtures with other seeds than the rest are compared fairly;
    with equal seeds it is the plain mean. The figures are those of `agreement`, of x against ȳ,
    with intervals from 2,000 bootstrap draws of mixtures. No figure means much alone, so each
    stands between two others:
    *noiseless*, what a proxy that knew every μ_i would show, as noise is in ȳ. Simulated: ȳ_i is
    μ_i + N(0, σ_ε²/k_i), and N(0, σ_b²/K) that all mixtures share. The μ_i are the ȳ_i drawn
    together until their variance is that of ȳ less the mean of σ_ε²/k_i, so that they are as
    spread as the truth must be and not as its noisy means are;
    *chance*, what the proxy's own scores show when they are dealt out to the wrong mixtures.

Source:
    Efron 1979 (percentile bootstrap); Louis 1984 (JASA 79) for estimates that are shrunk to the
    right spread.

Departures:
    Percentiles of a bootstrap are too narrow for what hangs on the best one or few mixtures
    (regret, top quarter) when there are only some ten of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mixwise.arrays import Array
from mixwise.decision.agreement import Figures, agreement_rows, spearman_rows
from mixwise.errors import EvaluationError

Seeds = Sequence[Sequence[float]] | Array
_N_BOOTSTRAP = 2000
_N_SIMULATED = 1000
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
        n_seeds: Seeds of a reference, the fewest.
        n_runs: Runs behind all references.
        spearman, kendall, top_quarter, mean_absolute_error, bias, regret, regret_of_five: The
            proxy's figures, as `Figures` describes them.
        noiseless: The same of a proxy that knows the truth without noise: mean, and the middle 95 %
            of simulated sets of seeds; None where too few mixtures have two seeds to say.
        chance: The same of the proxy's scores shuffled: mean, and the middle 95 % of shuffles.
        seed_noise: Standard deviation between seeds of one run; None where no mixture has two.
        shared_noise: The part of it by which a seed moves all mixtures alike, which does not touch
            ranks; None where `noiseless` is.
        seed_spearman: Mean Spearman ρ between single seeds; None where fewer than three mixtures
            have two.
        ceiling: The noiseless proxy's ρ; None where it is not defined.
    """

    n_mixtures: int
    n_seeds: int
    n_runs: int
    spearman: Estimate
    kendall: Estimate
    top_quarter: Estimate
    mean_absolute_error: Estimate
    bias: Estimate
    regret: Estimate
    regret_of_five: Estimate
    noiseless: Figures[Estimate] | None
    chance: Figures[Estimate]
    seed_noise: float | None
    shared_noise: float | None
    seed_spearman: float | None
    ceiling: float | None


def measure_fidelity(proxy: Array, reference: Seeds, *, sign: int, seed: int) -> Fidelity:
    """Compare the proxy with the reference over mixtures.

    Args:
        proxy: Metric by the proxy, shape ``(n,)``.
        reference: Metric by the reference: per mixture one value per seed, as lists that may differ
            in length, or as an array ``(n, most seeds)`` with NaN where a seed is missing. The same
            place is the same seed in every mixture.
        sign: +1 where larger is better, −1 where smaller is.
        seed: Of all draws.

    Returns:
        Every figure with its interval, and beside each what noise allows and what chance gives.

    Raises:
        EvaluationError: If proxy and reference differ in number, or a mixture has no seed.

    Example:
        >>> x = np.arange(8.0)
        >>> measure_fidelity(x, x[:, None], sign=1, seed=0).spearman.value
        1.0
    """
    runs = _padded(reference, len(proxy))
    noise, n_seeds = _fit_noise(runs), np.isfinite(runs).sum(axis=1)
    truth = np.nanmean(runs - noise.shifts, axis=1)
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(truth), (_N_BOOTSTRAP, len(truth)))
    draws = np.concatenate([np.arange(len(truth))[None], draws])
    found = agreement_rows(proxy[draws], truth[draws], sign=sign).map(_bootstrapped)
    shuffled = rng.permuted(np.tile(proxy, (_N_SIMULATED, 1)), axis=1)
    unchanged = np.broadcast_to(truth, shuffled.shape)
    noiseless = None
    if noise.own is not None and noise.shared is not None:
        spread = noise.own / np.sqrt(n_seeds)
        exact = np.broadcast_to(_shrunk(truth, spread), shuffled.shape)
        shift = noise.shared / np.sqrt(runs.shape[1]) * rng.standard_normal((_N_SIMULATED, 1))
        noisy = exact + shift + spread * rng.standard_normal(shuffled.shape)
        noiseless = agreement_rows(exact, noisy, sign=sign).map(_simulated)
    return Fidelity(
        n_mixtures=len(truth),
        n_seeds=int(n_seeds.min()),
        n_runs=int(n_seeds.sum()),
        spearman=found.spearman,
        kendall=found.kendall,
        top_quarter=found.top_quarter,
        mean_absolute_error=found.mean_absolute_error,
        bias=found.bias,
        regret=found.regret,
        regret_of_five=found.regret_of_five,
        noiseless=noiseless,
        chance=agreement_rows(shuffled, unchanged, sign=sign).map(_simulated),
        seed_noise=seed_noise([run[np.isfinite(run)].tolist() for run in runs]),
        shared_noise=noise.shared,
        seed_spearman=_seed_agreement(runs),
        ceiling=None if noiseless is None else noiseless.spearman.value,
    )


def seed_noise(groups: Sequence[Sequence[float]]) -> float | None:
    """Pooled standard deviation between seeds of one run.

    Args:
        groups: Scores of the seeds of each mixture; mixtures with one seed say nothing.

    Returns:
        √(Σ (k_i − 1) s_i² / Σ (k_i − 1)), or None when no mixture has two seeds.
    """
    freedoms = [len(group) - 1 for group in groups if len(group) > 1]
    variances = [float(np.var(group, ddof=1)) for group in groups if len(group) > 1]
    return float(np.sqrt(np.average(variances, weights=freedoms))) if variances else None


def seed_shifts(runs: Array) -> Array:
    """What each seed does to all mixtures alike.

    Args:
        runs: Scores, one row per mixture and one column per seed, NaN where a seed is missing.

    Returns:
        b_s, one per seed, shape ``(n_seeds,)``; 0 where no two seeds meet often enough to tell.

    Example:
        >>> seed_shifts(np.array([[1.0, 3.0], [2.0, 4.0], [5.0, np.nan]])).round(6).tolist()
        [-1.0, 1.0]
    """
    return _fit_noise(runs).shifts


def _padded(reference: Seeds, n: int) -> Array:
    """One row per mixture, NaN where a seed is missing."""
    rows = [np.asarray(row, dtype=np.float64) for row in reference]
    width = max((len(row) for row in rows), default=0)
    padded = np.full((len(rows), width), np.nan)
    for filled, row in zip(padded, rows, strict=True):
        filled[: len(row)] = row
    if len(rows) != n or not np.isfinite(padded).any(axis=1).all():
        with_seeds = int(np.isfinite(padded).any(axis=1).sum())
        raise EvaluationError(
            f"fidelity needs a reference for each of the {n} mixtures that the proxy scored, but "
            f"{with_seeds} have one: train the others or leave them out"
        )
    return padded


@dataclass(frozen=True, slots=True, eq=False)
class _Noise:
    """How seeds move scores.

    Args:
        shifts: b_s, shape ``(K,)``, sum 0.
        own: σ_ε, None where too few mixtures have two seeds.
        shared: σ_b, likewise.
    """

    shifts: Array
    own: float | None
    shared: float | None


def _fit_noise(runs: Array) -> _Noise:
    """Fit what seeds do to all mixtures from deviations within mixtures; 0 where nothing tells."""
    known = np.isfinite(runs)
    within = (runs - np.nanmean(runs, axis=1, keepdims=True))[known]
    ones = np.eye(runs.shape[1])[np.nonzero(known)[1]]
    of_mixture = np.nonzero(known)[0]
    design = ones - (known / known.sum(axis=1, keepdims=True))[of_mixture]
    inverse = np.linalg.pinv(design.T @ design, rcond=1e-9)
    shifts = inverse @ design.T @ within
    rank = int(np.linalg.matrix_rank(design))
    freedom = len(within) - len(runs) - rank
    if freedom <= 0:
        return _Noise(np.zeros(runs.shape[1]), None, None)
    own = float(((within - design @ shifts) ** 2).sum()) / freedom
    shared = (float((shifts**2).sum()) - own * float(np.trace(inverse))) / rank
    return _Noise(shifts, own**0.5, max(shared, 0.0) ** 0.5)


def _shrunk(means: Array, spread: Array) -> Array:
    """Estimates of the truth that vary as much as it does: noisy means vary more."""
    observed = float(means.var(ddof=1)) if len(means) > 1 else 0.0
    true = max(observed - float((spread**2).mean()), 0.0)
    factor = np.sqrt(true / observed) if observed > 0 else 0.0
    return np.asarray(means.mean() + factor * (means - means.mean()))


def _seed_agreement(runs: Array) -> float | None:
    """Mean ρ between two seeds, over pairs of seeds weighted by the mixtures that have both."""
    found, weights = [], []
    for i, j in combinations(range(runs.shape[1]), 2):
        both = runs[np.isfinite(runs[:, [i, j]]).all(axis=1)]
        if len(both) >= _LEAST_RANKED:
            found.append(spearman_rows(both[None, :, i], both[None, :, j])[0])
            weights.append(len(both))
    return None if not found or np.isnan(found).any() else float(np.average(found, weights=weights))


def _bootstrapped(rows: Array) -> Estimate:
    """The first row is the figure itself, the others are bootstrap draws."""
    if np.isnan(rows[0]):
        return Estimate(None)
    low, high = np.nanpercentile(rows[1:], [2.5, 97.5])
    return Estimate(float(rows[0]), float(low), float(high))


def _simulated(rows: Array) -> Estimate:
    """Mean and middle of simulated draws."""
    if np.isnan(rows).all():
        return Estimate(None)
    low, high = np.nanpercentile(rows, [2.5, 97.5])
    return Estimate(float(np.nanmean(rows)), float(low), float(high))
