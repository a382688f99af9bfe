"""What a benchmark found, beside what it must reach: printed, and kept as JSON.

Every script measures its peers in its own run and reports ratios; a claim is one such ratio.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure of a benchmark.

    Args:
        what: What was measured, and on what.
        value: The figure, most often a ratio.
        low: Lower end of its spread or interval.
        high: Upper end.
        at_most: What it must not exceed, or None.
        at_least: What it must reach, or None.
        n: Repetitions, seeds or mixtures behind it.
    """

    what: str
    value: float
    low: float
    high: float
    n: int
    at_most: float | None = None
    at_least: float | None = None

    @property
    def verdict(self) -> str:
        """``reached``, ``missed``, or nothing where nothing is asked for."""
        if self.at_most is None and self.at_least is None:
            return ""
        is_low_enough = self.at_most is None or self.value <= self.at_most
        is_high_enough = self.at_least is None or self.value >= self.at_least
        return "reached" if is_low_enough and is_high_enough else "missed"

    @property
    def goal(self) -> str:
        """The threshold in words."""
        words = [f"≤ {self.at_most:g}"] if self.at_most is not None else []
        return " ".join(words + ([f"≥ {self.at_least:g}"] if self.at_least is not None else []))


def save_claims(name: str, claims: Sequence[Claim], **context: object) -> None:
    """Print a benchmark's claims and write ``results/NAME.json``.

    Args:
        name: The benchmark.
        claims: Its figures.
        context: Whatever tells how they were made: sizes, seeds, versions.
    """
    RESULTS.mkdir(exist_ok=True)
    content = {"benchmark": name, **context, "claims": [asdict(claim) for claim in claims]}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False))
    print_claims(name, claims)


def load_claims(name: str) -> list[Claim]:
    """Claims of a benchmark that has run; none when it has not."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return []
    return [Claim(**claim) for claim in json.loads(path.read_text())["claims"]]


def print_claims(name: str, claims: Sequence[Claim]) -> None:
    """Print claims as a table."""
    table = Table("what", "figure", "spread", "n", "goal", "", title=name, title_justify="left")
    for claim in claims:
        spread = f"{_short(claim.low)} to {_short(claim.high)}"
        cells = (claim.what, _short(claim.value), spread, str(claim.n), claim.goal, claim.verdict)
        table.add_row(*cells, style="red" if claim.verdict == "missed" else "")
    Console(width=140).print(table)


def _short(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.4g}"
