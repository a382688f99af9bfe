"""What a study would take on devices that are not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from mixwise.console.lines import duration
from mixwise.console.text import print_table, print_text

if TYPE_CHECKING:
    from mixwise.study.cost import StudyCost


def print_cost(cost: StudyCost) -> None:
    """Print time and money, stage by stage."""
    has_price = cost.price_per_hour is not None
    table = Table(
        "stage",
        "time",
        *(["money"] if has_price else []),
        "takes longest",
        "devices busy",
        title=f"On {cost.fleet}, {cost.run_devices:,} for a run",
        title_justify="left",
    )
    for stage in cost.stages:
        money = [_money(cost, stage.seconds)] if has_price else []
        table.add_row(
            stage.name, duration(stage.seconds), *money, stage.bottleneck, f"{stage.busy:.0%}"
        )
    print_table(table)
    least, most = cost.seconds_range
    print_text(
        f"in all: {duration(cost.seconds)} ({duration(least)} to {duration(most)}, as devices "
        "reach half to a fifth of their FLOP/s)"
        + (
            f", {_money(cost, cost.seconds)} ({_money(cost, least)} to {_money(cost, most)})"
            if has_price
            else ""
        )
    )
    for note in cost.notes:
        print_text(f"note: {note}")


def _money(cost: StudyCost, seconds: float) -> str:
    return f"{cost.price(seconds) or 0:,.2f}"
