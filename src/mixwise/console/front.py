"""The Pareto front as a table: what each mixture gains in each group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from mixwise.console.text import print_table, print_text, visible

if TYPE_CHECKING:
    from mixwise.decision.front import Front, FrontPoint


def print_front(front: Front) -> None:
    """Print the mixtures of a front, the recommended one marked or at the end."""
    from mixwise.report.words import front_words  # the report's words are slow to load

    names = map(visible, front.groups)
    table = Table(*names, "mixture", title="Pareto front", title_justify="left")
    mixtures = [point.score.mixture for point in front.points]
    rows = list(front.points)
    if front.recommended.score.mixture not in mixtures:
        rows.append(front.recommended)
    for point in rows:
        is_recommended = point.score.mixture == front.recommended.score.mixture
        table.add_row(*_gains(point), _mixture(point) + " (recommended)" * is_recommended)
    print_table(table)
    print_text(front_words(front))


def _gains(point: FrontPoint) -> list[str]:
    rows = zip(point.gains, point.intervals_95, strict=True)
    return [f"{gain:.2f} ({low:.2f} to {high:.2f})" for gain, (low, high) in rows]


def _mixture(point: FrontPoint) -> str:
    return ", ".join(f"{name} {share:.3g}" for name, share in point.score.shares.items() if share)
