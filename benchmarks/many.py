"""Many domains: an expert each that is short, longer ones of groups, or gradients at the base.

    python -m benchmarks.many

Method:
    `benchmarks.truth.horizons many many-groups` made the tables: sixteen domains of four families,
    eight targets, a final run of 256 steps. A price buys experts of all domains, or four times as
    long ones of four groups, an equal part of each domain inside; the groups are what anyone can
    see (programs, prose, catalogues, administration). Experts of groups know a mixture by its
    groups' shares alone. Or it buys as many batches of each domain for a gradient at the base, the
    limit of a short expert (`benchmarks.truth.gradients`), with the length of the step as the
    product finds it (`weigh_steps`), and with every length. All are put together in the same ways
    as in `benchmarks.horizons`, and held against the same trained mixtures; its ρ, regret and
    intervals. ``dozen``, twelve other domains, was named when the rule was fixed, and looked at
    once; the two development beds of five domains are beside them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.horizons import LOST, MIXWISE, WAYS, Bed, regret_of, rho_interval
from benchmarks.mixwise_pick import metrics_of
from benchmarks.truth.families import GROUPS, MANY
from benchmarks.truth.gradients import FACTORS, answer_of, table_of
from benchmarks.truth.horizon_table import load

from mixwise.mixture import Mixture
from mixwise.objective import Metric
from mixwise.scoring.gradient_steps import weigh_steps
from mixwise.scoring.table import TableRow, TableScorer
from mixwise.scoring.weighing import ProxyPart

Array = npt.NDArray[np.float64]
LENGTHS = ((4, 16), (8, 32), (16, 64))  # of experts of domains and of groups, at one price
RULE = "length at which uniform scores best (mixwise)"
BATCHES = {MANY: (4, 8, 16), "dozen": (4, 8), "demo": (4, 8, 16), "languages": (4, 8, 16)}
KEPT = (*WAYS[:2], WAYS[3], MIXWISE)
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


def gradients(bed: Bed, n_batches: int) -> dict[str, Array]:
    """Losses of the mixtures by gradients of so many batches, by way; none before they are made."""
    found: dict[str, dict[tuple[float, ...], list[float]]] = {}
    for row in load(table_of(bed.name)):
        if row.steps == n_batches:
            losses = [row.losses[name] for name in bed.sets]
            found.setdefault(row.answer, {})[tuple(row.shares.values())] = losses
    return {way: np.array([by[tuple(m)] for m in bed.shares.tolist()]) for way, by in found.items()}


def by_rule(bed: Bed, n_batches: int) -> Array:
    """Losses of the mixtures by the product's rule for the length of the step."""
    found = gradients(bed, n_batches)
    steps = {c: found[answer_of("shared", c)] for c in FACTORS if answer_of("shared", c) in found}
    mixtures = [Mixture(bed.names, tuple(row / row.sum())) for row in bed.shares]
    parts = []
    for c, losses in steps.items():
        rows = [TableRow(m, metrics_of(row)) for m, row in zip(mixtures, losses, strict=True)]
        scorer = TableScorer(rows, answer="proxy")
        parts.append(ProxyPart("predictions", n_batches, n_batches, scorer, c))
    names = list(metrics_of(bed.base))
    weighings = weigh_steps(
        parts,
        mixtures[: bed.domains + 1],
        bed.steps - LOST,
        [Metric(name.split("/")[0], "loss", "min") for name in names],
        ("predictions",),
        dict(zip(names, bed.base.tolist(), strict=True)),
    )
    stacked = np.stack(list(steps.values()), axis=-1)
    columns = [
        stacked[:, k] @ weighings[name].weights + weighings[name].shift
        for k, name in enumerate(names)
    ]
    return np.stack(columns, axis=1)


def answers_of(bed: Bed, length: int) -> dict[str, dict[str, Array]]:
    """Losses of the mixtures by what a price pays for, and by way.

    Args:
        bed: The bed.
        length: Steps of the experts, and batches of the gradients. Experts of a length that the
            product does not have there are averaged as they are.
    """
    trained = {WAYS[1]: bed.losses["predictions", length]}
    if length in bed.lengths:
        trained = {way: y for way, y in bed.scores(length).items() if way in KEPT}
    moved = {RULE: by_rule(bed, length), **(gradients(bed, length) if bed.name == MANY else {})}
    return {
        f"{bed.domains} of {length} steps": trained,
        f"gradients of {length} batches": moved,
    }


def by_groups(many: Bed) -> dict[int, dict[str, Array]]:
    """Losses of the mixtures by experts of groups, by the length of the domains' at that price."""
    groups = Bed.of("many-groups")
    rows = group_rows(many, groups)
    columns = [groups.sets.index(name) for name in many.sets]
    return {
        single: {
            way: y[rows][:, columns] for way, y in groups.scores(grouped).items() if way in KEPT
        }
        for single, grouped in LENGTHS
    }


def main() -> None:
    """Print a table for each bed and objective, and keep the figures."""
    claims = []
    for name, lengths in BATCHES.items():
        bed = Bed.of(name)
        answers = {length: answers_of(bed, length) for length in lengths}
        if name == MANY:
            for single, of_groups in by_groups(bed).items():
                answers[single][f"4 groups, {dict(LENGTHS)[single]} steps"] = of_groups
        claims += _report_bed(bed, answers)
    save_claims("many", claims)


def _report_bed(bed: Bed, answers: Mapping[int, Mapping[str, Mapping[str, Array]]]) -> list[Claim]:
    claims = []
    for objective, sets in bed.objectives.items():
        seeds = [-truth[bed.domains + 1 :, sets].mean(axis=1) for truth in bed.truths.values()]
        truth = np.mean(seeds, axis=0)
        print(f"\n{bed.name}, {objective}: {len(truth)} mixtures × {len(seeds)} seeds\n")
        print("| price | experts | way | ρ | regret ÷ random pick's | error ÷ spread |")
        print("| --- | --- | --- | --- | --- | --- |")
        for single, by_experts in answers.items():
            price = f"{bed.domains * single / bed.steps:g}"
            for experts, by_way in by_experts.items():
                for way, losses in by_way.items():
                    scores = -losses[bed.domains + 1 :, sets].mean(axis=1)
                    what = (bed.name, objective, price, experts, way)
                    claims.append(_report(what, scores, truth))
    return claims


def _report(what: tuple[str, ...], scores: Array, truth: Array) -> Claim:
    """Print a row."""
    rho, low, high = rho_interval(scores, truth)
    lost, lost_low, lost_high = regret_of(scores, truth)
    error = float(np.abs(scores - truth).mean() / truth.std())
    print(
        f"| {' | '.join(what[2:])} | {rho:.2f} ({low:.2f} to {high:.2f}) | {lost:.2f} "
        f"({lost_low:.2f} to {lost_high:.2f}) | {error:.2f} |"
    )
    return Claim(f"{', '.join(what)}: ρ", rho, low, high, len(truth))


if __name__ == "__main__":
    main()
