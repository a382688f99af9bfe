"""Score the merged counterpart of every trained mixture of a bed, by each merge rule.

    python -m benchmarks.truth.merges [BED …] [--rules linear,centre] [--scratch .bench/truth]

Needs the checkpoints that `benchmarks.truth.generate` leaves in the scratch folder. One table per
bed, ``BED.merged.csv``: rule, shares, losses. What the table holds already is not scored again.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.truth.beds import BEDS, Bed
from benchmarks.truth.design import extra_runs, planned
from benchmarks.truth.generate import open_bed
from benchmarks.truth.table import TABLES, load_runs

from mixwise.merging.rule_table import RULES
from mixwise.mixture import Mixture
from mixwise.search.problem import distinct
from mixwise.study.session import Workspace

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Merged:
    """A merge and what it scored.

    Args:
        rule: Merge rule.
        mixture: Shares.
        losses: Nats per token, by evaluation set.
    """

    rule: str
    mixture: Mixture
    losses: Mapping[str, float]


def merged_file(bed: Bed) -> Path:
    """Where a bed's table of merges lies."""
    return TABLES / f"{bed.name}.merged.csv"


def load_merged(bed: Bed | str) -> tuple[Merged, ...]:
    """The merges of a bed; none where its table is not begun."""
    bed = BEDS[bed] if isinstance(bed, str) else bed
    if not merged_file(bed).is_file():
        return ()
    with merged_file(bed).open(newline="") as file:
        return tuple(
            Merged(
                row["rule"],
                Mixture(bed.domains, tuple(float(row[f"share {name}"]) for name in bed.domains)),
                {name: float(row[f"loss {name}"]) for name in bed.sets},
            )
            for row in csv.DictReader(file)
        )


def mixtures_of(bed: Bed, *, common: bool = False) -> tuple[Mixture, ...]:
    """Every mixture that the bed trains, or those alone that all beds of its domains train."""
    if common:
        return tuple(row.mixture for row in planned("around", bed.domains))
    trained = [row.mixture for row in planned(bed.design, bed.domains)]
    return distinct([*trained, *extra_runs(bed.domains)[: 1 if bed.design == "few" else None]])


def score_bed(bed: Bed, rules: Sequence[str], scratch: Path, *, common: bool) -> None:
    """Add to a bed's table what it lacks."""
    known = {(row.rule, str(row.mixture)) for row in load_merged(bed)}
    for rule in rules:
        missing = [m for m in mixtures_of(bed, common=common) if (rule, str(m)) not in known]
        if missing:
            with open_bed(bed, scratch, rule=rule) as workspace:
                _append(bed, _score(rule, missing, workspace))
            print(f"{bed.name}: {len(missing)} merges by `{rule}`", flush=True)


def _score(rule: str, mixtures: Sequence[Mixture], workspace: Workspace) -> list[Merged]:
    ending = "/loss"
    return [
        Merged(
            rule,
            mixture,
            {k.removesuffix(ending): v for k, v in o.values.items() if k.endswith(ending)},
        )
        for mixture, o in zip(mixtures, workspace.proxy.score(mixtures), strict=True)
    ]


def _append(bed: Bed, rows: Sequence[Merged]) -> None:
    path = merged_file(bed)
    is_new = not path.exists()
    names = [
        "rule",
        *(f"share {name}" for name in bed.domains),
        *(f"loss {name}" for name in bed.sets),
    ]
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(names)
        for row in rows:
            losses = [round(row.losses[name], _DIGITS) for name in bed.sets]
            writer.writerow([row.rule, *row.mixture.shares, *losses])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"any of {', '.join(BEDS)}")
    parser.add_argument("--rules", default="linear", help=f"any of {','.join(RULES)}")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/truth"))
    parser.add_argument(
        "--common", action="store_true", help="only the mixtures that beds have in common"
    )
    options = parser.parse_args()
    for name in options.beds or [name for name in BEDS if load_runs(name)]:
        score_bed(BEDS[name], options.rules.split(","), options.scratch, common=options.common)


if __name__ == "__main__":
    main()
