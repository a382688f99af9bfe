"""Which diagnostics tell, before any reference is trained, how good the proxy will be?

    python -m benchmarks.verdict [BED …]

Needs the tables of the truth bed: references, linear merges (`benchmarks.truth.merges`) and what
was measured of each bed (`benchmarks.truth.diagnoses`). Computes for seconds, trains nothing.

Method:
    A case is an objective on a bed: each set alone, the mean of the domains, the mean of all sets,
    and 25 random means of three to six sets. Truth is the mean over seeds; mixtures that a
    correction may be trained on are left out.

    Chosen before any result: the ranking *works* where Spearman ρ ≥ 0.9 of the ceiling, the level
    where the mean absolute error ≤ 25 % of the standard deviation between mixtures. Added when it
    was seen that a perfect proxy would fail for the noise in two seeds: that proxy's own error is
    allowed on top.

    A diagnostic is judged twice: by Spearman ρ over cases with what it is to predict, and by ROC:
    the area, and the share of right answers on each bed by the threshold that is best on all the
    other beds. Intervals draw whole beds, as only they are independent: the cases of one bed share
    experts, references and evaluation sets, and their number says nothing of certainty.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.truth.beds import BEDS
from benchmarks.truth.diagnoses import Diagnosis, load_diagnosis
from benchmarks.truth.pool import Array, Pool, judged_beds, load_pool
from rich.console import Console
from rich.table import Table

from mixwise.decision.agreement import spearman_rows
from mixwise.decision.fidelity import measure_fidelity
from mixwise.decision.trust import CURVATURE_LIMIT, RANK_LIMIT, curvature_ratio, level_works
from mixwise.diagnostics.interference import predict_error, predict_linear

_N_RANDOM = 25
_N_BOOTSTRAP = 1000
_LINEAR = "linear"
BEND = "second against first order"


@dataclass(frozen=True, slots=True)
class Case:
    """An objective on a bed: what was predicted of it, and what came out.

    Args:
        bed: The setting.
        objective: Name of the objective.
        n_mixtures: Mixtures compared.
        signs: Diagnostics by name; each is larger where the proxy should be worse.
        rank_lost: 1 − ρ / ceiling.
        level_lost: Mean absolute error over the standard deviation between mixtures.
        error: Mean absolute error, nats/token.
        levels: Whether the level works.
    """

    bed: str
    objective: str
    n_mixtures: int
    signs: Mapping[str, float]
    rank_lost: float
    level_lost: float
    error: float
    levels: bool

    @property
    def ranks(self) -> bool:
        """Whether the ranking works."""
        return self.rank_lost <= 1 - RANK_LIMIT


def cases_of(pool: Pool, found: Diagnosis) -> list[Case]:
    """The cases of a bed; those without a ceiling, which seeds rank at random, are left out."""
    chosen = np.flatnonzero(
        [
            pool.shares[k].max() < 1
            and str(mixture) not in pool.extras
            and len(pool.seeds[k]) > 1
            and bool(np.isfinite(pool.merged[_LINEAR][k]).all())
            for k, mixture in enumerate(pool.mixtures)
        ]
    )
    cases = []
    for name, parts in _objectives(pool).items():
        case = _case(pool, found, name, parts, chosen)
        if case is not None:
            cases.append(case)
    return cases


def _objectives(pool: Pool) -> dict[str, Array]:
    """Share of each set in the objective, by name."""
    sets = pool.bed.sets
    n = len(sets)
    rng = np.random.default_rng(0)
    parts = {name: np.eye(n)[k] for k, name in enumerate(sets)}
    parts["domains"] = np.isin(sets, pool.bed.domains).astype(float)
    parts["all"] = np.ones(n)
    for k in range(_N_RANDOM):
        parts[f"random {k}"] = np.zeros(n)
        parts[f"random {k}"][rng.choice(n, rng.integers(3, 7), replace=False)] = 1
    return {name: part / part.sum() for name, part in parts.items()}


def _case(pool: Pool, found: Diagnosis, name: str, parts: Array, chosen: np.ndarray) -> Case | None:
    truth, merged = pool.losses[chosen] @ parts, pool.merged[_LINEAR][chosen] @ parts
    fidelity = measure_fidelity(merged, truth, sign=-1, seed=0)
    rho, error = fidelity.spearman.value, fidelity.mean_absolute_error.value
    if fidelity.ceiling is None or fidelity.ceiling <= 0 or rho is None or error is None:
        return None
    spread = float(np.nanmean(truth, axis=1).std())
    allowed = fidelity.noiseless and fidelity.noiseless.mean_absolute_error.value
    return Case(
        pool.bed.name,
        name,
        len(chosen),
        _signs(found, pool.shares[chosen], merged, parts),
        rank_lost=1 - rho / fidelity.ceiling,
        level_lost=error / spread,
        error=error,
        levels=level_works(error, allowed or 0.0, spread),
    )


def _signs(found: Diagnosis, shares: Array, merged: Array, parts: Array) -> dict[str, float]:
    """Every diagnostic of a case, turned so that larger should be worse."""
    derivatives = found.interactions
    first = shares @ derivatives.slopes.T @ parts
    linear = predict_linear(derivatives, shares) @ parts
    errors = predict_error(derivatives, shares)
    with_noise = predict_error(derivatives, shares, found.noise)
    gamma = derivatives.relative_effective_curvature
    n = len(gamma)
    spread = float(merged.std())
    curvature = errors.total @ parts
    trained = linear - curvature
    return {
        "size of the updates": float(np.mean(found.relative_sizes)),
        "mean cosine": found.mean_cosine,
        "crooked halfway": 1 - (found.halfway or 1.0),
        "mean γ": float((gamma.sum() - n) / (n * (n - 1))),
        BEND: curvature_ratio(first, linear - first),
        "self-domain scaling / spread": float(np.abs(errors.self_scaling @ parts).mean() / spread),
        "cross-domain / spread": float(np.abs(errors.cross_domain @ parts).mean() / spread),
        "curvature error, nats": float(np.abs(curvature).mean()),
        "curvature error / spread": float(np.abs(curvature).mean() / spread),
        "1 − ρ by curvature": 1 - float(spearman_rows(linear[None], trained[None])[0]),
        "noise error, nats": float(np.abs(with_noise.averaged_noise @ parts).mean()),
        "noise error / spread": float(np.abs(with_noise.averaged_noise @ parts).mean() / spread),
        "curvature + noise, nats": float(np.abs(with_noise.total @ parts).mean()),
        "curvature + noise / spread": float(np.abs(with_noise.total @ parts).mean() / spread),
        "small spread (−nats)": -spread,
        "noise ν / spread": float(found.noise @ parts / spread),
    }


def area(signs: Array, works: Array) -> float:
    """Area under the ROC: how often a case that fails has the larger sign; NaN with one class."""
    bad, good = signs[~works], signs[works]
    if not len(bad) or not len(good):
        return float("nan")
    above = bad[:, None] > good[None]
    return float((above + 0.5 * (bad[:, None] == good[None])).mean())


def best_threshold(signs: Array, works: Array) -> float:
    """The threshold with the most balanced right answers: larger signs are called failures."""
    values = np.unique(signs)
    tries = [values[0] - 1, *((values[1:] + values[:-1]) / 2), values[-1] + 1]
    return float(max(tries, key=lambda t: balanced_accuracy(signs, works, t)))


def balanced_accuracy(signs: Array, works: Array, threshold: float) -> float:
    """Mean over both classes of the share of right answers; of one class where there is one."""
    right = (signs <= threshold) == works
    return float(
        np.mean([right[works == kind].mean() for kind in (False, True) if (works == kind).any()])
    )


def left_out_accuracy(cases: Sequence[Case], sign: str, label: Callable[[Case], bool]) -> float:
    """Mean over beds of the balanced accuracy by a threshold that the bed had no part in."""
    beds = sorted({case.bed for case in cases})
    found = []
    for bed in beds:
        others = [case for case in cases if case.bed != bed]
        own = [case for case in cases if case.bed == bed]
        signs, works = _columns(others, sign, label)
        found.append(balanced_accuracy(*_columns(own, sign, label), best_threshold(signs, works)))
    return float(np.mean(found))


def _columns(
    cases: Sequence[Case], sign: str, label: Callable[[Case], bool]
) -> tuple[Array, Array]:
    return np.array([c.signs[sign] for c in cases]), np.array([label(c) for c in cases])


def _interval(
    cases: Sequence[Case], figure: Callable[[Sequence[Case]], float]
) -> tuple[float, float]:
    """Middle 95 % of a figure over draws of whole beds."""
    beds = sorted({case.bed for case in cases})
    rng = np.random.default_rng(0)
    by_bed = {bed: [case for case in cases if case.bed == bed] for bed in beds}
    draws = [
        figure([case for k in rng.integers(len(beds), size=len(beds)) for case in by_bed[beds[k]]])
        for _ in range(_N_BOOTSTRAP)
    ]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)


def _correlation(cases: Sequence[Case], sign: str, target: Callable[[Case], float]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr([c.signs[sign] for c in cases], [target(c) for c in cases]).statistic)


def _within_beds(cases: Sequence[Case], sign: str, target: Callable[[Case], float]) -> float:
    """Mean over beds of the correlation over the cases of a bed; 0 for what a bed has one of."""
    beds = sorted({case.bed for case in cases})
    own = [[case for case in cases if case.bed == bed] for bed in beds]
    found = [
        _correlation(rows, sign, target)
        for rows in own
        if len({row.signs[sign] for row in rows}) > 1
    ]
    return float(np.mean(found)) if found else 0.0


def report(cases: Sequence[Case], console: Console) -> None:
    """Print how each diagnostic fares for the ranking, the relative level and the error in nats."""
    targets: Mapping[str, tuple[Callable[[Case], float], Callable[[Case], bool] | None]] = {
        "1 − ρ / ceiling": (lambda c: c.rank_lost, lambda c: c.ranks),
        "error / spread": (lambda c: c.level_lost, lambda c: c.levels),
        "error, nats": (lambda c: c.error, None),
    }
    for title, (target, label) in targets.items():
        table = Table(
            "diagnostic", "ρ over all", "within beds", "ROC area", "left-out", title=title
        )
        for sign in cases[0].signs:
            row = [
                f"{_correlation(cases, sign, target):+.2f}",
                f"{_within_beds(cases, sign, target):+.2f}",
            ]
            if label is not None:
                row += _roc(cases, sign, label)
            table.add_row(sign, *row)
        console.print(table)


def _roc(cases: Sequence[Case], sign: str, label: Callable[[Case], bool]) -> list[str]:
    found = area(*_columns(cases, sign, label))
    if np.isnan(found):
        return ["one class only"]
    low, high = _interval(cases, lambda drawn: area(*_columns(drawn, sign, label)))
    return [
        f"{found:.2f} ({low:.2f} to {high:.2f})",
        f"{left_out_accuracy(cases, sign, label):.2f}",
        f"{best_threshold(*_columns(cases, sign, label)):.3g}",
    ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"any of {', '.join(BEDS)}")
    options = parser.parse_args()
    console = Console(width=120)
    cases: list[Case] = []
    for name in options.beds or judged_beds():
        found, pool = load_diagnosis(BEDS[name]), load_pool(name)
        if found is None or _LINEAR not in pool.merged:
            console.print(f"{name}: not measured yet")
            continue
        own = cases_of(pool, found)
        works = sum(case.ranks for case in own), sum(case.levels for case in own)
        console.print(
            f"{name}: {len(own)} cases on {own[0].n_mixtures} mixtures; the ranking works in "
            f"{works[0]}, the level in {works[1]}"
        )
        cases += own
    report(cases, console)
    right = balanced_accuracy(*_columns(cases, BEND, lambda c: c.ranks), CURVATURE_LIMIT)
    console.print(f"the verdict's own limit, b ≤ {CURVATURE_LIMIT}: balanced accuracy {right:.2f}")


if __name__ == "__main__":
    main()
