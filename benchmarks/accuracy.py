"""How well proxies predict trained models, rule by rule, before and after calibration.

    python -m benchmarks.accuracy [BED …] [--side report]

Reads the truth bed's tables alone. Losses in nats per token; every figure is over the mixtures of
one side of the split, on which nothing was chosen. *auto* is what mixwise does by default: the
linear merge, its scores calibrated by a few trained mixtures (of the development side), the uniform
one first; where no reference was trained on it, the run with the experts' seed serves. Of several
draws of the others the middle one is shown. It is judged by the mean of all seeds, which the
calibration has used too, and by seeds that it has not seen, half as many.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.truth.beds import BEDS
from benchmarks.truth.design import Split
from benchmarks.truth.merges import Merged, load_merged
from benchmarks.truth.pool import OBJECTIVES, Pool, judged_beds, load_pool
from rich.console import Console
from rich.table import Table

from mixwise.decision.discrepancy import Trained, fit_discrepancy
from mixwise.decision.fidelity import Fidelity, measure_fidelity
from mixwise.mixture import Mixture

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
_COUNTS = (1, 2, 4, 8)  # trained mixtures that calibrate
_N_DRAWS = 8  # of the mixtures beside the uniform one
_FEWEST_MIXTURES = 8
_EXPERTS_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Predictions of one way, against the truth.

    Args:
        way: Rule, and the calibration if there is one.
        extra_runs: Training runs beside the experts.
        error: Mean absolute error over sets and mixtures, nats per token.
        bias: Mean of prediction − truth.
        objectives: Fidelity of each objective.
    """

    way: str
    extra_runs: float
    error: float
    bias: float
    objectives: dict[str, Fidelity]


def truth_of(pool: Pool, seeds: Sequence[int]) -> Array:
    """Mean loss over some seeds, ``(n, m)``; NaN where a mixture has none of them."""
    columns = [s - 1 for s in seeds if s <= pool.losses.shape[1]]
    known = pool.losses[:, columns]
    n_known = np.isfinite(known).sum(axis=1)
    total = np.nansum(known, axis=1)
    return np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)


def calibrated(pool: Pool, known: Sequence[int], seeds: Sequence[int]) -> Array:
    """Linear merges corrected by the runs of some mixtures, ``(n, m)``."""
    merged = pool.merged["linear"]
    spread = pool.experts.std(axis=0, ddof=1)
    corrected = merged.copy()
    for k in range(merged.shape[1]):
        trained = []
        for i in known:
            used = [s for s in seeds if s in pool.seeds[i]]
            runs = pool.losses[i, [s - 1 for s in used], k] / spread[k]
            trained.append(Trained(pool.shares[i], merged[i, k] / spread[k], runs, tuple(used)))
        if not _has_uniform(pool):
            trained.append(_uniform(pool, k, float(spread[k])))
        posterior = fit_discrepancy(trained)
        corrected[:, k] += spread[k] * posterior.predict(pool.shares)[0]
    return corrected


def _has_uniform(pool: Pool) -> bool:
    return Mixture.uniform(pool.bed.domains) in pool.mixtures


def _uniform(pool: Pool, k: int, spread: float) -> Trained:
    """The uniform mixture's run with the experts' seed, where no reference was trained on it."""
    uniform = Mixture.uniform(pool.bed.domains)
    [merged] = [row for row in load_merged(pool.bed) if row.mixture == uniform and _is_linear(row)]
    name = pool.bed.sets[k]
    runs = pool.extras[str(uniform)][[k]] / spread
    return Trained(uniform.array, merged.losses[name] / spread, runs, (_EXPERTS_SEED,))


def _is_linear(row: Merged) -> bool:
    return row.rule == "linear"


def judge(
    pool: Pool, way: str, extra_runs: float, predicted: Array, truth: Array, side: Index
) -> Judged:
    """Compare predictions with the truth on a side's mixtures."""
    error = (predicted - truth)[side]
    objectives = {}
    for name in OBJECTIVES:
        sets = pool.sets(name)
        runs = [
            -pool.losses[i][:, sets].mean(axis=1)[np.isfinite(pool.losses[i][:, 0])] for i in side
        ]
        scores = -predicted[side][:, sets].mean(axis=1)
        objectives[name] = measure_fidelity(scores, runs, sign=1, seed=0)
    return Judged(way, extra_runs, float(np.abs(error).mean()), float(error.mean()), objectives)


def draws(pool: Pool, n: int) -> list[list[int]]:
    """The uniform mixture and n − 1 of the development side, drawn anew each time."""
    first = [pool.index(Mixture.uniform(pool.bed.domains))] if _has_uniform(pool) else []
    if n == 1:
        return [first]
    rng = np.random.default_rng(0)
    others = pool.side("development")
    return [[*first, *rng.permutation(others)[: n - 1]] for _ in range(_N_DRAWS)]


def judge_bed(pool: Pool, split: Split) -> list[Judged]:
    """Every rule that the bed's table holds, and the calibrated linear merge."""
    side = pool.side(split)
    seeds = (1, 2)
    truth = truth_of(pool, range(1, pool.losses.shape[1] + 1))
    rows = []
    for rule, merged in pool.merged.items():
        known = side[np.isfinite(merged[side, 0])]
        if len(known) >= _FEWEST_MIXTURES:
            way = rule if len(known) == len(side) else f"{rule} (n = {len(known)})"
            rows.append(judge(pool, way, 0, merged, truth, known))
    for n in _COUNTS:
        predictions = [calibrated(pool, known, seeds) for known in draws(pool, n)]
        middle = sorted(predictions, key=lambda p: float(np.abs(p - truth)[side].mean()))
        rows.append(judge(pool, f"auto, {n} trained", 2 * n, middle[len(middle) // 2], truth, side))
    return rows


def unseen_ratio(pool: Pool, split: Split, n: int) -> tuple[float, float, float]:
    """Errors by seeds that the calibration has not seen: auto, linear, and one seed by another."""
    side, errors = pool.side(split), []
    for mine, theirs in ((1, 2), (2, 1)):
        truth = truth_of(pool, [theirs])
        auto = np.mean(
            [np.abs(calibrated(pool, k, [mine]) - truth)[side].mean() for k in draws(pool, n)]
        )
        linear = np.abs(pool.merged["linear"] - truth)[side].mean()
        other = np.abs(truth_of(pool, [mine]) - truth)[side].mean()
        errors.append((auto, linear, other))
    auto, linear, other = np.mean(errors, axis=0)
    return float(auto), float(linear), float(other)


def noise_of(pool: Pool, split: Split) -> float:
    """Mean over the sets of the standard deviation between seeds of one run."""
    rows = [pool.losses[i][np.isfinite(pool.losses[i][:, 0])] for i in pool.side(split)]
    return float(np.sqrt(np.mean([row.var(axis=0, ddof=1) for row in rows], axis=0)).mean())


def show(pool: Pool, split: Split, rows: Sequence[Judged]) -> None:
    """Print one bed."""
    noise, n = noise_of(pool, split), len(pool.side(split))
    ceilings = {name: rows[0].objectives[name].ceiling for name in OBJECTIVES}
    words = ", ".join(f"{name} {c:.2f}" if c else f"{name} ?" for name, c in ceilings.items())
    title = f"{pool.bed.name}: {n} {split} mixtures, noise of a run {noise:.4f}; ceilings: {words}"
    table = Table("way", "runs", "error", "÷ noise", "bias", *OBJECTIVES, title=title)
    for row in rows:
        cells = []
        for f in row.objectives.values():
            top = f.top_quarter.value
            cells.append(f"{f.spearman.value:.2f}" + (f" / {top:.2f}" if top is not None else ""))
        figures = (f"{row.error:.4f}", f"{row.error / noise:.2f}", f"{row.bias:+.4f}")
        table.add_row(row.way, f"{row.extra_runs:g}", *figures, *cells)
    Console(width=150).print(table)


def claims_of(pool: Pool, split: Split, rows: Sequence[Judged]) -> list[Claim]:
    """What is held against the goals, on one bed."""
    by_way = {row.way: row for row in rows}
    linear, auto = by_way["linear"], by_way[f"auto, {_COUNTS[-1]} trained"]
    name, n = pool.bed.name, len(pool.side(split))
    ratio = auto.error / linear.error
    noise = auto.error / noise_of(pool, split)
    unseen, unseen_linear, other = unseen_ratio(pool, split, _COUNTS[-1])
    domains = auto.objectives["domains"]
    rho, top = domains.spearman, domains.top_quarter
    noiseless = domains.noiseless.top_quarter.value if domains.noiseless else None
    top_ceiling = float("nan") if noiseless is None else noiseless
    return [
        Claim(f"{name}: error of auto ÷ linear", ratio, ratio, ratio, n, at_most=1 / 3),
        Claim(f"{name}: error of auto ÷ noise between seeds", noise, noise, noise, n, at_most=1.5),
        Claim(
            f"{name}: the same by unseen seeds, ÷ linear",
            unseen / unseen_linear,
            unseen / unseen_linear,
            unseen / unseen_linear,
            n,
        ),
        Claim(
            f"{name}: by unseen seeds, ÷ the error of another trained run",
            unseen / other,
            unseen / other,
            unseen / other,
            n,
        ),
        Claim(
            f"{name}: ρ of the averaged objective (ceiling {domains.ceiling or float('nan'):.2f})",
            rho.value or 0,
            rho.low or 0,
            rho.high or 0,
            n,
            at_least=0.95,
        ),
        Claim(
            f"{name}: top-quarter ρ of the averaged objective (ceiling {top_ceiling:.2f})",
            top.value or 0,
            top.low or 0,
            top.high or 0,
            n,
            at_least=0.8,
        ),
    ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"any of {', '.join(BEDS)}")
    parser.add_argument("--side", choices=["development", "report"], default="report")
    options = parser.parse_args()
    claims: list[Claim] = []
    for name in options.beds or judged_beds():
        pool = load_pool(name)
        if "linear" not in pool.merged or len(pool.side(options.side)) < _FEWEST_MIXTURES:
            print(f"{name}: its tables are not complete")
            continue
        rows = judge_bed(pool, options.side)
        show(pool, options.side, rows)
        claims += claims_of(pool, options.side, rows)
    save_claims(f"accuracy-{options.side}", claims)


if __name__ == "__main__":
    main()
