"""Tables of beds of short experts, a row a mixture and answer; and the tokens of domains."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixwise.mixture import Mixture
from mixwise.observation import Measurement, Observation

TABLES = Path(__file__).parent / "tables"
TOKENS = TABLES / "family-tokens.csv"
Key = tuple[str, int, int, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """What one answer says of one mixture.

    Args:
        answer: ``base``, ``merged``, ``predictions`` or ``reference``.
        steps: Of the experts, or of the reference.
        seed: Of the reference; else 0.
        shares: By domain.
        losses: By set.
    """

    answer: str
    steps: int
    seed: int
    shares: dict[str, float]
    losses: dict[str, float]

    @property
    def key(self) -> Key:
        """What it is, without what was found."""
        return key_of(self.answer, self.steps, self.seed, tuple(self.shares.values()))


def key_of(answer: str, steps: int, seed: int, shares: Sequence[float]) -> Key:
    """The key of a row, with shares as a table holds them."""
    return answer, steps, seed, tuple(float(f"{share:g}") for share in shares)


def table(bed: str) -> Path:
    """Where a bed's rows are kept."""
    return TABLES / f"horizon-{bed}.csv"


def load(bed: str) -> list[Row]:
    """The rows of a bed; none before they are made."""
    if not table(bed).is_file():
        return []
    with table(bed).open() as file:
        rows = list(csv.DictReader(file))
    return [
        Row(
            row["answer"],
            int(row["steps"]),
            int(row["seed"]),
            {k.removeprefix("share "): float(v) for k, v in row.items() if k.startswith("share ")},
            {k.removeprefix("loss "): float(v) for k, v in row.items() if k.startswith("loss ")},
        )
        for row in rows
    ]


def row_of(
    answer: str,
    steps: int,
    seed: int,
    mixture: Mixture | None,
    found: Observation | Sequence[Measurement],
) -> Row:
    """The row of what was measured, or of the base's with a corner for its columns."""
    assert mixture is not None
    measured = found.measurements if isinstance(found, Observation) else found
    losses = {m.metric: m.value for m in measured if m.metric.endswith("/loss")}
    named = {name.removesuffix("/loss"): value for name, value in losses.items()}
    return Row(answer, steps, seed, dict(mixture.as_dict()), named)


def append(bed: str, rows: Sequence[Row]) -> None:
    """Add rows to a bed's table."""
    if not rows:
        return
    is_new = not table(bed).is_file()
    with table(bed).open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        shares, losses = rows[0].shares, rows[0].losses
        if is_new:
            names = [*(f"share {name}" for name in shares), *(f"loss {name}" for name in losses)]
            writer.writerow(["answer", "steps", "seed", *names])
        for row in rows:
            numbers = [f"{share:g}" for share in row.shares.values()]
            numbers += [f"{row.losses[name]:.6f}" for name in losses]
            writer.writerow([row.answer, row.steps, row.seed, *numbers])


def load_tokens(family: str) -> dict[str, int]:
    """Training tokens of a family's domains; none before its bed is opened."""
    if not TOKENS.is_file():
        return {}
    with TOKENS.open() as file:
        rows = list(csv.DictReader(file))
    return {row["domain"]: int(row["tokens"]) for row in rows if row["family"] == family}


def note_tokens(family: str, tokens: Mapping[str, int]) -> None:
    """Keep training tokens of a family's domains; a family of other texts is refused."""
    known = load_tokens(family)
    if known and known != dict(tokens):
        raise SystemExit(
            f"the tables of `{family}` are of other texts ({known}) than those that are there now "
            f"({dict(tokens)}): remove them, and its lines of {TOKENS.name}, to make them anew"
        )
    if known:
        return
    is_new = not TOKENS.is_file()
    with TOKENS.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(["family", "domain", "tokens"])
        writer.writerows([family, name, n] for name, n in tokens.items())
