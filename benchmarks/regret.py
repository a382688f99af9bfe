"""Regret against tokens: mixwise and published methods on a truth bed, one table and one plot.

    python -m benchmarks.regret [--bed standard] [--draws 24]
    python -m benchmarks.regret --tune

Method:
    Every method gets the same total tokens, in runs: experts, extra runs, references and
    evaluation are paid from them (`benchmarks.purse`). It picks one candidate; regret is the best
    value that could be picked less the judged value of the pick, in nats per token, over repeated
    draws of candidates and seeds and over objectives. Intervals are 95 % bootstrap over draws, all
    objectives of a draw together. Draws come from one bed, so they tell how much the answer hangs
    on which mixtures and seeds one has, not on the setting. The uniform mixture is no candidate, as
    merge rules are trained on it; where it is better than all candidates its regret is negative.

Source:
    Efron 1979.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.purse import OverspentError, Purse, best_value, draw
from benchmarks.regret_plot import Line, render_plot
from benchmarks.rivals import RIVALS, VARIANTS, Rival
from benchmarks.truth.design import Split
from benchmarks.truth.pool import OBJECTIVES, Pool, load_pool

Array = npt.NDArray[np.float64]
BUDGETS = (6, 8, 12, 16, 24, 32)
MIXWISE = "mixwise"
PLOT = Path(__file__).parents[1] / "docs" / "regret.svg"
_SMALL = "width-32"
_N_BOOTSTRAP = 2000
_FIRST_SEED = {"development": 0, "report": 10_000}
_MILLI = 1000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One pick.

    Args:
        method: Who picked.
        budget: Runs that could be spent.
        seed: Of the draw.
        objective: What was asked for.
        regret: In nats per token.
        spent: Runs that were spent.
    """

    method: str
    budget: float
    seed: int
    objective: str
    regret: float
    spent: float


@dataclass(frozen=True, slots=True)
class Regret:
    """Mean regret of a method at a budget, and its 95 % interval."""

    value: float
    low: float
    high: float


def attempts(
    pool: Pool, rivals: Sequence[Rival], split: Split, seeds: Sequence[int], small: Pool | None
) -> list[Attempt]:
    """Let every method pick at every budget, objective and draw that it can afford."""
    found = []
    for seed in seeds:
        drawn = draw(pool, split, seed)
        for objective in OBJECTIVES:
            best = best_value(pool, drawn.candidates, objective)
            for rival in rivals:
                for budget in BUDGETS:
                    purse = Purse(pool, small, drawn, objective, budget)
                    try:
                        pick = rival.pick(purse)
                    except OverspentError:
                        continue
                    regret = best - purse.judge(pick)
                    spent = budget - purse.left
                    found.append(Attempt(rival.name, budget, seed, objective, regret, spent))
    return found


def of_method(rows: Sequence[Attempt], method: str, budget: float) -> list[Attempt]:
    """A method's attempts at a budget; none unless it can afford every objective."""
    mine = [row for row in rows if (row.method, row.budget) == (method, budget)]
    asked = {row.objective for row in rows}
    return mine if {row.objective for row in mine} == asked else []


def mean_regret(rows: Sequence[Attempt]) -> Regret:
    """Mean over objectives and draws; draws are resampled whole."""
    seeds = sorted({row.seed for row in rows})
    by_seed = np.array([np.mean([r.regret for r in rows if r.seed == seed]) for seed in seeds])
    rng = np.random.default_rng(0)
    means = by_seed[rng.integers(len(seeds), size=(_N_BOOTSTRAP, len(seeds)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Regret(float(by_seed.mean()), float(low), float(high))


def margin(rows: Sequence[Attempt], method: str, budget: float) -> Regret | None:
    """How much more another method regrets than mixwise, draw by draw; None where one is unable."""
    mine = {(r.seed, r.objective): r.regret for r in of_method(rows, MIXWISE, budget)}
    theirs = of_method(rows, method, budget)
    if not mine or not theirs:
        return None
    differences = [
        Attempt(method, budget, r.seed, r.objective, r.regret - mine[r.seed, r.objective], 0.0)
        for r in theirs
    ]
    return mean_regret(differences)


def markdown(rows: Sequence[Attempt], rivals: Sequence[Rival]) -> str:
    """The table: mean regret in thousandths of a nat with its interval, by method and budget."""
    head = ["method", *(f"{budget} runs" for budget in BUDGETS)]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for rival in rivals:
        cells = [rival.name]
        for budget in BUDGETS:
            mine = of_method(rows, rival.name, budget)
            cells.append(_cell(mean_regret(mine)) if mine else "—")
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def _cell(regret: Regret) -> str:
    value, low, high = (f"{_MILLI * x:.1f}" for x in (regret.value, regret.low, regret.high))
    return f"{value} ({low} to {high})".replace("-", "−")


def claims_of(rows: Sequence[Attempt], rivals: Sequence[Rival]) -> list[Claim]:
    """At each budget, mixwise's regret beside that of every other method: ahead means ≥ 0."""
    claims = []
    n = len({row.seed for row in rows})
    for rival in rivals:
        for budget in BUDGETS:
            found = None if rival.name == MIXWISE else margin(rows, rival.name, budget)
            if found is not None:
                what = f"regret of {rival.name} less mixwise's, millinats, {budget} runs"
                value, low, high = (_MILLI * x for x in (found.value, found.low, found.high))
                claims.append(Claim(what, value, low, high, n, at_least=0.0))
    return claims


def lines_of(rows: Sequence[Attempt], rivals: Sequence[Rival]) -> list[Line]:
    """Mean regret against tokens spent, one line per method; it ends where more buys nothing."""
    lines = []
    for rival in rivals:
        points: list[tuple[float, float, float, float]] = []
        for budget in BUDGETS:
            mine = of_method(rows, rival.name, budget)
            spent = float(np.mean([row.spent for row in mine])) if mine else 0.0
            x = spent or float(budget)  # what buys nothing is a flat line
            if mine and (not points or x > 1.02 * points[-1][0]):
                found = mean_regret(mine)
                y, low, high = (_MILLI * value for value in (found.value, found.low, found.high))
                points.append((x, y, low, high))
        lines.append(Line(rival.name, tuple(points)))
    return lines


def _load_small() -> Pool | None:
    try:
        return load_pool(_SMALL)
    except FileNotFoundError:
        return None


def main() -> None:
    """Run all methods, print the table, and write table and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bed", default="standard")
    parser.add_argument("--draws", type=int, default=24)
    parser.add_argument(
        "--tune", action="store_true", help="variants on development mixtures; nothing is written"
    )
    options = parser.parse_args()
    rivals = VARIANTS if options.tune else RIVALS
    split: Split = "development" if options.tune else "report"
    seeds = range(_FIRST_SEED[split], _FIRST_SEED[split] + options.draws)
    pool = load_pool(options.bed)
    rows = attempts(pool, rivals, split, seeds, _load_small())
    print(markdown(rows, rivals))
    for objective in OBJECTIVES:
        chosen = [row for row in rows if row.objective == objective]
        print(f"\n{objective}\n\n{markdown(chosen, rivals)}")
    if options.tune:
        return
    claims = claims_of(rows, rivals)
    save_claims(
        "regret", claims, bed=options.bed, seeds=list(seeds), rows=[asdict(r) for r in rows]
    )
    PLOT.write_text(render_plot(lines_of(rows, rivals), BUDGETS), encoding="utf-8")


if __name__ == "__main__":
    main()
