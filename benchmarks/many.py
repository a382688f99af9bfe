"""Sixteen domains: an expert each that is short, longer ones of groups, or gradients at the base.

    python -m benchmarks.many

Method:
    `benchmarks.truth.horizons many many-groups` made the tables: sixteen domains of four families,
    eight targets, a final run of 256 steps. A price buys experts of all domains, or four times as
    long ones of four groups, an equal part of each domain inside; the groups are what anyone can
    see (programs, prose, catalogues, administration). Experts of groups know a mixture by its
    groups' shares alone. Or it buys as many batches of each domain for a gradient at the base, the
    limit of a short expert (`benchmarks.truth.gradients`). All are put together in the same ways as
    in `benchmarks.horizons`, and held against the same trained mixtures; its ρ, regret and
    intervals.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.horizons import MIXWISE, WAYS, Bed, ceiling_of, regret_of, rho_interval
from benchmarks.truth.families import GROUPS
from benchmarks.truth.gradients import BED as GRADIENTS
from benchmarks.truth.horizon_table import load

Array = npt.NDArray[np.float64]
LENGTHS = ((4, 16), (8, 32), (16, 64))  # of experts of domains and of groups, at one price
_SAME = 1e-4  # shares in a table are rounded


def group_rows(many: Bed, groups: Bed) -> npt.NDArray[np.int64]:
    """Which mixture of the groups each mixture of the domains is.

    Args:
        many: The domains' bed.
        groups: The groups' bed.
    """
    members = [[many.names.index(name) for name in names] for names in GROUPS.values()]
    sums = np.stack([many.shares[:, places].sum(axis=1) for places in members], axis=1)
    apart = np.abs(sums[:, None] - groups.shares[None]).sum(axis=2)
    if apart.min(axis=1).max() > _SAME:
        raise SystemExit("the tables of domains and groups are of other mixtures: make both anew")
    return apart.argmin(axis=1)


def gradients(many: Bed, n_batches: int) -> dict[str, Array]:
    """Losses of the mixtures by gradients of so many batches, by way; none before they are made."""
    found: dict[str, dict[tuple[float, ...], list[float]]] = {}
    for row in load(GRADIENTS):
        if row.steps == n_batches:
            losses = [row.losses[name] for name in many.sets]
            found.setdefault(row.answer, {})[tuple(row.shares.values())] = losses
    return {
        way: np.array([by[tuple(m)] for m in many.shares.tolist()]) for way, by in found.items()
    }


def main() -> None:
    """Print a table for each objective, and keep the figures."""
    many, groups = Bed.of("many"), Bed.of("many-groups")
    rows = group_rows(many, groups)
    columns = [groups.sets.index(name) for name in many.sets]
    claims = []
    for objective, sets in many.objectives.items():
        seeds = [-truth[many.domains + 1 :, sets].mean(axis=1) for truth in many.truths.values()]
        truth = np.mean(seeds, axis=0)
        print(f"\n{objective}: {len(truth)} mixtures × {len(seeds)} seeds", end="")
        print(f"; the seeds allow ρ {ceiling_of(seeds):.2f}\n" if len(seeds) > 1 else "\n")
        print("| price | experts | way | ρ | regret ÷ random pick's |")
        print("| --- | --- | --- | --- | --- |")
        for single, grouped in LENGTHS:
            by_groups = groups.scores(grouped).items()
            answers = {
                f"16 of {single} steps": many.scores(single),
                f"4 groups of {grouped} steps": {way: y[rows][:, columns] for way, y in by_groups},
            }
            answers[f"gradients of {single} batches"] = gradients(many, single)
            price = f"{many.domains * single / many.steps:g}"
            for experts, by_way in answers.items():
                for way in by_way:
                    if way in (*WAYS[:2], WAYS[3], MIXWISE) or "gradient" in experts:
                        scores = -by_way[way][many.domains + 1 :, sets].mean(axis=1)
                        claims.append(_report((objective, price, experts, way), scores, truth))
    save_claims("many", claims)


def _report(what: tuple[str, ...], scores: Array, truth: Array) -> Claim:
    """Print a row."""
    rho, low, high = rho_interval(scores, truth)
    lost, lost_low, lost_high = regret_of(scores, truth)
    print(
        f"| {' | '.join(what[1:])} | {rho:.2f} ({low:.2f} to {high:.2f}) | {lost:.2f} "
        f"({lost_low:.2f} to {lost_high:.2f}) |"
    )
    return Claim(f"{', '.join(what)}: ρ", rho, low, high, len(truth))


if __name__ == "__main__":
    main()
