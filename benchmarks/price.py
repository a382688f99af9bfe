"""Regret against price: mixwise and published methods on beds of short experts, table and plot.

    python -m benchmarks.price [--draws 24]
    python -m benchmarks.price --tune [--only NAMES]

Method:
    At each price, every method buys what the price allows on every bed (`benchmarks.price_beds`)
    and picks one candidate. Its regret is what the best candidate is expected to be worth less what
    the pick is worth, in standard deviations of the objective over all trained mixtures; the
    share is the sum of regrets over beds, objectives and draws over the same sum for a random pick.
    Intervals are 95 % bootstrap: beds first, then draws of each, all objectives together.
    At a price those beds count on which mixwise can answer (experts must leave their warm-up, and
    final runs can be bought only where there are two of each), and a method stands in the table
    where it answers on all of them. The uniform mixture is a candidate.

    Development beds chose how many runs the price is shared among, and mixwise's law of continuing;
    report beds chose nothing.

Source:
    Efron 1979.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.price_beds import BEDS, PRICES, Bed, Offer, draw
from benchmarks.price_rivals import MIXWISE, RIVALS, VARIANTS, Rival
from benchmarks.purse import OverspentError
from benchmarks.regret_plot import Axes, Line, render_plot
from benchmarks.truth.horizon_table import table

Array = npt.NDArray[np.float64]
PLOT = Path(__file__).parents[1] / "docs" / "price.svg"
_N_BOOTSTRAP = 2000
_TENTH = 0.1  # of uniform's regret, which is the goal at a quarter of a run
_GOAL_FROM = 0.1
_FREE = ("uniform", "token-proportional", "UniMax")
_AXES = Axes(
    "regret as a share of a random pick's",
    "price: tokens trained before the final run, in final runs",
    (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One pick.

    Args:
        method: Who picked.
        price: In final runs.
        bed: Where.
        draw: Which.
        objective: What was asked for.
        regret: In standard deviations of the objective.
        random: What a random pick regrets.
        evaluation: Forward passes besides, in final runs.
    """

    method: str
    price: float
    bed: str
    draw: int
    objective: str
    regret: float
    random: float
    evaluation: float


@dataclass(frozen=True, slots=True)
class Share:
    """Regret as a share of a random pick's, and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        cell = f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"
        return cell.replace("-", "−")


def attempts(bed: Bed, rivals: Sequence[Rival], n_draws: int) -> list[Attempt]:
    """Let every method pick at every price, objective and draw that it can."""
    found = []
    for number in range(n_draws):
        drawn = draw(bed, number)
        for objective in bed.objectives:
            for price in PRICES:
                for rival in rivals:
                    offer = Offer(bed, drawn, objective, price)
                    try:
                        pick = rival.pick(offer)
                    except OverspentError:
                        continue
                    worth = offer.judge(pick), offer.random
                    lost, of_random = ((offer.best - value) / offer.spread for value in worth)
                    row = (rival.name, price, bed.name, number, objective)
                    found.append(Attempt(*row, lost, of_random, offer.evaluation))
    return found


def share_of(rows: Sequence[Attempt], less: Sequence[Attempt] = ()) -> Share:
    """Regret of some attempts as a share of random picks'.

    Args:
        rows: Of one method at one price, or of several prices.
        less: Those of another method, draw by draw the same, whose regrets are taken away.
    """
    taken = {_case(row): row.regret for row in less}
    beds = sorted({row.bed for row in rows})
    sums = []
    for bed in beds:
        by_draw: dict[int, list[float]] = {}
        for row in rows:
            if row.bed == bed:
                pair = by_draw.setdefault(row.draw, [0.0, 0.0])
                pair[0] += row.regret - taken.get(_case(row), 0.0)
                pair[1] += row.random
        sums.append(np.array(list(by_draw.values())))
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(_N_BOOTSTRAP):
        chosen = [sums[k] for k in rng.integers(len(sums), size=len(sums))]
        total = sum(one[rng.integers(len(one), size=len(one))].sum(axis=0) for one in chosen)
        ratios.append(total[0] / total[1])
    lost, of_random = np.sum([one.sum(axis=0) for one in sums], axis=0)
    low, high = np.percentile(ratios, [2.5, 97.5]).tolist()
    return Share(float(lost / of_random), low, high)


def of_method(rows: Sequence[Attempt], method: str, price: float) -> list[Attempt]:
    """A method's attempts at a price, on beds that count there; none unless on every one."""
    counted = beds_at(rows, price)
    mine = [row for row in rows if (row.method, row.price) == (method, price)]
    mine = [row for row in mine if row.bed in counted]
    cases = {(row.bed, row.draw, row.objective) for row in rows if row.bed in counted}
    return mine if len(mine) == len(cases) else []


def beds_at(rows: Sequence[Attempt], price: float) -> set[str]:
    """Beds that count at a price: where mixwise answers; all, where it answers on none."""
    found = {row.bed for row in rows if (row.method, row.price) == (MIXWISE, price)}
    return found or {row.bed for row in rows}


def markdown(rows: Sequence[Attempt], rivals: Sequence[Rival]) -> str:
    """The table: share of a random pick's regret, by method and price."""
    head = ["method", *(f"{price:g}" for price in PRICES), "evaluation besides"]
    counted = [str(len(beds_at(rows, price))) for price in PRICES]
    lines = [" | ".join(line) for line in (head, ["---"] * len(head), ["beds", *counted, ""])]
    for rival in rivals:
        cells, passes = [rival.name], []
        for price in PRICES:
            mine = of_method(rows, rival.name, price)
            cells.append(str(share_of(mine)) if mine else "—")
            passes += [row.evaluation for row in mine]
        used = f"{min(passes):.2f} to {max(passes):.2f}" if passes else "—"
        lines.append(" | ".join([*cells, used]))
    return "\n".join(f"| {line} |" for line in lines)


def claims_of(rows: Sequence[Attempt], rivals: Sequence[Rival]) -> list[Claim]:
    """What a budget buys, and mixwise beside every other method at the same price."""
    claims = []
    n = len({(row.bed, row.draw) for row in rows})
    for price in PRICES:
        mine = of_method(rows, MIXWISE, price)
        if not mine:
            continue
        counted, bought = beds_at(rows, price), share_of(mine)
        what = f"price {price:g}: mixwise's regret ÷ a random pick's"
        claims.append(Claim(what, bought.value, bought.low, bought.high, n))
        for rival in rivals:
            answered = {r.bed for r in rows if (r.method, r.price) == (rival.name, price)}
            both = [row for row in rows if row.bed in answered & counted]
            theirs = of_method(both, rival.name, price)
            if theirs and rival.name != MIXWISE:
                gap = share_of(theirs, of_method(both, MIXWISE, price))
                what = f"price {price:g}: regret of {rival.name} less mixwise's, in random picks'"
                goal = 0.0 if price >= _GOAL_FROM else None
                claims.append(Claim(what, gap.value, gap.low, gap.high, n, at_least=goal))
        uniform = sum(row.regret for row in of_method(rows, "uniform", price))
        ratio = sum(row.regret for row in mine) / uniform
        goal = _TENTH if price == 0.25 else None
        what = f"price {price:g}: mixwise's regret ÷ uniform's"
        claims.append(Claim(what, ratio, ratio, ratio, n, at_most=goal))
    return claims


def lines_of(rows: Sequence[Attempt], rivals: Sequence[Rival]) -> list[Line]:
    """Share against price, a line for each method."""
    lines = []
    for rival in rivals:
        points = []
        for price in PRICES:
            mine = of_method(rows, rival.name, price)
            if mine:
                share = share_of(mine)
                points.append((price, share.value, share.low, share.high))
        lines.append(Line(rival.name, tuple(points)))
    return lines


def budget_table(rows: Sequence[Attempt]) -> str:
    """What a budget buys: share of a random pick's regret that mixwise's pick loses, by price."""
    lines = ["price,share,low,high"]
    for price in PRICES:
        mine = [row for row in rows if (row.method, row.price) == (MIXWISE, price)]
        if mine:
            share = share_of(mine)
            lines.append(f"{price:g},{share.value:.3f},{share.low:.3f},{share.high:.3f}")
    return "\n".join(lines)


def _case(row: Attempt) -> tuple[str, int, str, float]:
    return row.bed, row.draw, row.objective, row.price


def _print_all(found: Mapping[str, Sequence[Attempt]], rivals: Sequence[Rival]) -> None:
    """Print tables: all beds, those that have runs of mixtures, and each bed."""
    groups = {"all beds": list(found)}
    groups["beds with runs of mixtures"] = [name for name in found if Bed(name).short_points]
    groups |= {f"{BEDS[name]} bed {k}": [name] for k, name in enumerate(found, start=1)}
    for title, names in groups.items():
        rows = [row for name in names for row in found[name]]
        print(f"\n{title}: {', '.join(names)}\n\n{markdown(rows, rivals)}", flush=True)


def main() -> None:
    """Let all methods pick, print the tables, keep the figures and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=24)
    parser.add_argument(
        "--tune", action="store_true", help="variants on development beds; nothing is written"
    )
    parser.add_argument(
        "--only", default="", help="part of the methods' names; every bed counts; keeps nothing"
    )
    options = parser.parse_args()
    rivals = tuple(r for r in (VARIANTS if options.tune else RIVALS) if options.only in r.name)
    names = [name for name in BEDS if table(name).is_file()]
    if options.tune:
        names = [name for name in names if BEDS[name] == "development"]
    found = {name: attempts(Bed(name), rivals, options.draws) for name in names}
    _print_all(found, rivals)
    if options.tune or options.only:
        return
    rows = [row for name in names for row in found[name]]
    print(f"\nwhat a budget buys, {', '.join(names)}\n\n{budget_table(rows)}\n")
    save_claims("price", claims_of(rows, rivals), rows=[asdict(row) for row in rows])
    comparable = [row for name in names if Bed(name).short_points for row in found[name]]
    shown = [rival for rival in rivals if rival.name not in _FREE or rival.name == "uniform"]
    PLOT.write_text(render_plot(lines_of(comparable, shown), PRICES, _AXES), encoding="utf-8")


if __name__ == "__main__":
    main()
