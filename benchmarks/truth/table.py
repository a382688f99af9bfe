"""A bed's table: one row per trained model, its mixture, its seed and its losses.

Method:
    A CSV file that is only ever appended to, one whole line at a time, so that a killed script
    leaves nothing half written; shares by domain, losses (nats/token) by evaluation set.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from benchmarks.truth.beds import BEDS, Bed
from benchmarks.truth.design import Split

from mixwise.mixture import Mixture

Kind = Literal["base", "expert", "extra", "reference"]
TABLES = Path(__file__).parent / "tables"
_SHARE, _LOSS = "share ", "loss "
_NO_SPLIT = "-"
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Run:
    """A model and what it scored.

    Args:
        kind: ``base``; ``expert`` and ``extra`` runs, which proxies are made of, with the experts'
            seed; ``reference`` runs, which are the truth.
        mixture: None for the base.
        seed: Training seed.
        split: Side of the split, of references.
        losses: Nats per token, by evaluation set.
    """

    kind: Kind
    mixture: Mixture | None
    seed: int
    split: Split | None
    losses: Mapping[str, float]

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it one and the same run."""
        return (self.kind, str(self.mixture), self.seed)


def table_file(bed: Bed) -> Path:
    """Where a bed's table lies."""
    return TABLES / f"{bed.name}.csv"


def load_runs(bed: Bed | str) -> tuple[Run, ...]:
    """The runs of a bed; none where its table is not begun."""
    bed = BEDS[bed] if isinstance(bed, str) else bed
    path = table_file(bed)
    if not path.is_file():
        return ()
    with path.open(newline="") as file:
        return tuple(_parse(row, bed) for row in csv.DictReader(file))


def append_runs(bed: Bed, runs: Iterable[Run]) -> None:
    """Add runs to a bed's table, and write its head where there is none."""
    path = table_file(bed)
    names = _columns(bed)
    path.parent.mkdir(exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(_format(run, bed) for run in runs)


def _columns(bed: Bed) -> Sequence[str]:
    shares = [f"{_SHARE}{name}" for name in bed.domains]
    return ["kind", "split", "seed", *shares, *(f"{_LOSS}{name}" for name in bed.sets)]


def _format(run: Run, bed: Bed) -> dict[str, object]:
    shares = run.mixture.as_dict() if run.mixture else dict.fromkeys(bed.domains, "")
    return {
        "kind": run.kind,
        "split": run.split or _NO_SPLIT,
        "seed": run.seed,
        **{f"{_SHARE}{name}": share for name, share in shares.items()},
        **{f"{_LOSS}{name}": round(loss, _DIGITS) for name, loss in run.losses.items()},
    }


def _parse(row: Mapping[str, str], bed: Bed) -> Run:
    if row["kind"] not in get_args(Kind) or row["split"] not in (*get_args(Split), _NO_SPLIT):
        raise ValueError(f"{table_file(bed)}: not a row of a truth table: {dict(row)}")
    shares = [row[f"{_SHARE}{name}"] for name in bed.domains]
    return Run(
        kind=row["kind"],  # type: ignore[arg-type]  # checked above
        mixture=Mixture(bed.domains, tuple(map(float, shares))) if shares[0] else None,
        seed=int(row["seed"]),
        split=None if row["split"] == _NO_SPLIT else row["split"],  # type: ignore[arg-type]
        losses={name: float(row[f"{_LOSS}{name}"]) for name in bed.sets},
    )
