"""Does what is best on one setting stay best on another: narrow to wide, short to long?

    python -m benchmarks.transfer

Reads the truth bed's tables alone. From one bed to another, over the mixtures that both trained:
Spearman ρ between their scores, and the regret on the target of the mixture that is best on the
source, in millinats and as a part of what choosing at random would lose. *trained* takes the
source's trained models, *merged* its linear merges, and *here* the target's own linear merges.
The truth is the mean of the target's seeds; at the last of the four objectives all are averaged.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.truth.pool import OBJECTIVES, Pool, judged_beds, load_pool
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

Array = npt.NDArray[np.float64]
WIDTHS = ("width-32", "width-64", "width-128", "width-256", "width-384")
HORIZONS = ("short", "standard", "long", "longest")
_FEWEST = 8
_MILLI = 1000


@dataclass(frozen=True, slots=True)
class Transfer:
    """From one bed to another, by one answer, averaged over the objectives.

    Args:
        source: Bed that the mixture is chosen on.
        target: Bed that it is judged on.
        answer: ``trained``, ``merged`` or ``here``.
        n_mixtures: Mixtures in common.
        spearman: ρ of the scores.
        regret: Lost on the target, millinats.
        of_random: The same as a part of the loss of choosing at random.
    """

    source: str
    target: str
    answer: str
    n_mixtures: int
    spearman: float
    regret: float
    of_random: float


def transfers(source: Pool, target: Pool) -> list[Transfer]:
    """Every answer of one bed for another; nothing where they share too few mixtures."""
    pairs = [
        (i, target.index(mixture))
        for i, mixture in enumerate(source.mixtures)
        if mixture in target.mixtures and mixture.array.max() < 1
    ]
    if len(pairs) < _FEWEST:
        return []
    mine, theirs = (np.array(column) for column in zip(*pairs, strict=True))
    answers: dict[str, list[Array]] = {"trained": [], "merged": [], "here": []}
    truths = []
    for objective in OBJECTIVES:
        truths.append(np.nanmean(target.scores(objective)[theirs], axis=1))
        answers["trained"].append(np.nanmean(source.scores(objective)[mine], axis=1))
        if "linear" in source.merged:
            answers["merged"].append(source.merged_scores("linear", objective)[mine])
        if "linear" in target.merged:
            answers["here"].append(target.merged_scores("linear", objective)[theirs])
    names = (source.bed.name, target.bed.name)
    return [_judge(*names, key, rows, truths) for key, rows in answers.items() if rows]


def _judge(
    source: str, target: str, answer: str, scores: Sequence[Array], truths: Sequence[Array]
) -> Transfer:
    known = [np.isfinite(s) & np.isfinite(t) for s, t in zip(scores, truths, strict=True)]
    rows = [(s[k], t[k]) for s, t, k in zip(scores, truths, known, strict=True)]
    lost = [float(t.max() - t[s.argmax()]) for s, t in rows]
    random = [float(t.max() - t.mean()) for _, t in rows]
    ranks = [float(spearmanr(s, t)[0]) for s, t in rows]
    return Transfer(
        source,
        target,
        answer,
        len(rows[0][0]),
        float(np.mean(ranks)),
        _MILLI * float(np.mean(lost)),
        float(np.mean(lost) / np.mean(random)),
    )


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    pools = {name: load_pool(name) for name in judged_beds()}
    found: list[Transfer] = []
    for family in (WIDTHS, HORIZONS):
        known = [name for name in family if name in pools]
        for source, target in permutations(known, 2):
            found += transfers(pools[source], pools[target])
    table = Table("from", "to", "answer", "mixtures", "ρ", "regret, millinats", "of random")
    for row in found:
        figures = (f"{row.spearman:.2f}", f"{row.regret:.1f}", f"{row.of_random:.2f}")
        table.add_row(row.source, row.target, row.answer, str(row.n_mixtures), *figures)
    Console(width=110).print(table)
    claims = [
        Claim(
            f"regret of {row.source} on {row.target}, {row.answer}, ÷ random",
            row.of_random,
            row.of_random,
            row.of_random,
            row.n_mixtures,
        )
        for row in found
    ]
    save_claims("transfer", claims, rows=[asdict(row) for row in found])


if __name__ == "__main__":
    main()
