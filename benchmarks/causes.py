"""Why merging misses what training reaches: curvature, noise, and the shape of what is left.

    python -m benchmarks.causes [BED …]

Reads the truth bed's tables alone. First, the error of the linear merge by its causes, nothing
fitted: mean over mixtures of |error of the mean loss of all sets|. Then, on development mixtures,
the least error that a correction c·f(λ) reaches with the best c of each set, for several f and with
parts of the predicted curvature taken away before; and ρ of `domains` after it. Then every merge
rule on the mixtures that all of the bed's rules were measured on, and what seeds have in common.
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
from benchmarks.accuracy import truth_of
from benchmarks.truth.beds import BEDS
from benchmarks.truth.diagnoses import load_diagnosis
from benchmarks.truth.pool import OBJECTIVES, Pool, judged_beds, load_pool
from scipy.stats import spearmanr

from mixwise.decision.discrepancy import evenness
from mixwise.diagnostics.interference import predict_error

Array = npt.NDArray[np.float64]
_POWERS = (0.5, 0.75, 1.0, 1.5)
_PARTS = (0.0, 0.5, 1.0)  # of the curvature that is taken away


def errors_by_cause(pool: Pool, curvature: Array, noise: Array) -> dict[str, float]:
    """Mean absolute error of the mean loss of all sets, with each cause taken away."""
    sides = [k for side in ("development", "report") for k in pool.side(side)]  # type: ignore[arg-type]
    linear, truth = pool.merged["linear"], truth_of(pool, range(1, pool.losses.shape[1] + 1))
    left = {
        "linear": linear,
        "curvature alone": linear - curvature,
        "noise alone": linear - noise,
        "both": linear - curvature - noise,
    }
    return {
        cause: float(np.abs((p - truth)[sides].mean(axis=1)).mean()) for cause, p in left.items()
    }


def best_correction(pool: Pool, start: Array, shape: Array) -> tuple[float, float]:
    """Least error of all sets with the best amplitude of a shape, and ρ of `domains` after it."""
    side = pool.side("development")
    truth = truth_of(pool, range(1, pool.losses.shape[1] + 1))[side]
    f, missed = shape[side], truth - start[side]
    corrected = start[side] + np.outer(f, f @ missed / (f @ f))
    sets = pool.sets("domains")
    rho = spearmanr(corrected[:, sets].mean(axis=1), truth[:, sets].mean(axis=1))[0]
    return float(np.abs(corrected - truth).mean()), float(rho)


def show_rules(pool: Pool) -> None:
    """Error, bias and ranks of every rule, by the mean of all seeds."""
    known = np.all([np.isfinite(m[:, 0]) for m in pool.merged.values()], axis=0)
    known &= pool.shares.max(axis=1) < 1
    truth = truth_of(pool, range(1, pool.losses.shape[1] + 1))[known]
    for rule, merged in pool.merged.items():
        gap = merged[known] - truth
        single = np.mean(
            [spearmanr(m, t)[0] for m, t in zip(merged[known].T, truth.T, strict=True)]
        )
        ranks = []
        for name in OBJECTIVES:
            sets = pool.sets(name)
            means = (merged[known][:, sets].mean(axis=1), truth[:, sets].mean(axis=1))
            ranks.append(f"{name} {spearmanr(*means)[0]:.2f}")
        figures = f"error {np.abs(gap).mean():.4f}, bias {gap.mean():+.4f}, ρ {single:.3f}"
        print(f"{pool.bed.name}: {rule} (n = {known.sum()}): {figures}; {', '.join(ranks)}")


def show_seeds(pool: Pool) -> None:
    """Seed 1 less seed 2 of every objective: mean over mixtures, and what is left to each."""
    for name in OBJECTIVES:
        runs = -pool.losses[..., pool.sets(name)].mean(axis=-1)
        gaps = (runs[:, 0] - runs[:, 1])[np.isfinite(runs[:, :2]).all(axis=1)]
        own = gaps.std(ddof=1)
        figures = f"{gaps.mean():.4f} (standard error {own / np.sqrt(len(gaps)):.4f})"
        print(f"{pool.bed.name}: seed 1 − seed 2, {name}: {figures}; own {own / np.sqrt(2):.4f}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"any of {', '.join(BEDS)}")
    for name in parser.parse_args().beds or judged_beds():
        pool, found = load_pool(name), load_diagnosis(BEDS[name])
        if found is None or "linear" not in pool.merged:
            continue
        predicted = predict_error(found.interactions, pool.shares, found.noise)
        curvature = predicted.self_scaling + predicted.cross_domain
        for cause, error in errors_by_cause(pool, curvature, predicted.averaged_noise).items():
            print(f"{name}: {cause}: {error:.4f}")
        print(
            f"{name}: noise that averaging takes away, mean of the sets: {found.noise.mean():.4f}"
        )
        linear, h = pool.merged["linear"], evenness(pool.shares)
        for power in _POWERS:
            error, rho = best_correction(pool, linear, h**power)
            print(f"{name}: best c·h^{power:g}: error {error:.4f}, ρ of domains {rho:.3f}")
        for part in _PARTS:
            error, rho = best_correction(pool, linear - part * curvature, h)
            print(f"{name}: {part:g} of the curvature, best c·h: {error:.4f}, ρ {rho:.3f}")
        show_rules(pool)
        show_seeds(pool)


if __name__ == "__main__":
    main()
