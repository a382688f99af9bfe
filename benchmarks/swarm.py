"""Surrogates of runs on a published swarm: `mixwise fit` against RegMix's, Olmix' and a line.

    git clone https://github.com/sail-sg/regmix
    python -m benchmarks.swarm regmix/data

Method:
    RegMix published 512 runs of a model of a million parameters on random mixtures of 17 domains of
    the Pile, and their losses. Some of them are drawn, all surrogates are fitted to these, and the
    runs of 256 others rank them: ρ, error over the spread, and the loss of the pick over a random
    pick's. RegMix trains LightGBM (with the settings of `mixwise.search.surrogates.regressors`: its
    own stop at once on a few runs), Olmix a log-linear law; the line is RegMix' own baseline.
    Objectives are the loss on Pile-CC, RegMix' target, and the mean of all losses in their standard
    deviations.
    The same surrogates rank 64 runs of a model a thousand times as large, whose mixtures RegMix
    published too. The process of square roots was chosen on the first table; the second, of a
    model of 60 million parameters and other mixtures, was looked at once.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks.claims import Claim, save_claims
from benchmarks.log_linear_law import fit_law
from benchmarks.surrogates import fit_line
from scipy.stats import spearmanr

from mixwise.objective import Direction
from mixwise.search.surrogates.regressors import fit_trees
from mixwise.swarm import Asked, SwarmTable, read_swarm
from mixwise.swarm.cross_validation import cross_validate
from mixwise.swarm.surface import Units

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Predict = Callable[[Array], Array]
Fit = Callable[[SwarmTable], Predict]
OBJECTIVES: Mapping[str, Mapping[str, Direction | None]] = {
    "Pile-CC": {"metric/the_pile_pile_cc_val_loss": None},
    "all losses": {},
}


def by_mixwise(table: SwarmTable) -> Callable[[Array], Array]:
    """The surface behind `mixwise fit`."""
    return cross_validate(table, seed=0).surface.metrics


@dataclass(frozen=True, slots=True)
class Published:
    """A table of RegMix.

    Args:
        mixtures: File of the mixtures.
        losses: File of the losses.
        n_test: Runs that rank the surrogates.
        sizes: Runs that they are fitted to.
    """

    mixtures: str
    losses: str
    n_test: int
    sizes: tuple[int, ...]


SWARMS = {
    "1M (development)": Published(
        "train_mixture_1m", "train_pile_loss_1m", 256, (32, 64, 128, 256)
    ),
    "60M (report)": Published("test_mixture_60m", "test_pile_loss_60m", 128, (32, 64, 128)),
}
LARGER = Published("test_mixture_1B", "test_pile_loss_1B", 0, ())
HEAD = (
    "| runs | surrogate | ρ | error ÷ spread | regret ÷ random pick's | ρ at 1B | CPU s |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)
FITS: dict[str, Fit] = {
    "mixwise fit": by_mixwise,
    "LightGBM (RegMix)": lambda table: fit_trees(table.shares, table.values, seed=0),
    "log-linear law (Olmix)": lambda table: fit_law(table.shares, table.values),
    "line": lambda table: fit_line(table.shares, table.values),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fit of one draw."""

    rho: float
    error: float
    regret: float
    seconds: float
    larger: float


def main() -> None:
    """Print a table for each objective, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="RegMix' folder `data`.")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--only", default="", help="Part of the surrogates' names; keeps nothing.")
    options = parser.parse_args()
    fits = {name: fit for name, fit in FITS.items() if options.only in name}
    claims: list[Claim] = []
    for (swarm, published), objective in product(SWARMS.items(), OBJECTIVES):
        asked = Asked(metrics=OBJECTIVES[objective], by=("index",))
        table = read(options.folder, published, asked)
        larger = read(options.folder, LARGER, asked)
        print(f"\n{swarm}, {objective}\n")
        print(HEAD)
        for size in published.sizes:
            for name, fit in fits.items():
                orders = [order(table, k) for k in range(options.draws)]
                n = published.n_test
                found = [one(table, larger, fit, o[:n], o[n : n + size]) for o in orders]
                claims += report(f"{swarm}, {objective}", size, name, found)
    if len(fits) == len(FITS):
        save_claims("swarm", claims)


def read(folder: Path, published: Published, asked: Asked) -> SwarmTable:
    """A published table."""
    files = [folder / f"{name}.csv" for name in (published.mixtures, published.losses)]
    return read_swarm(files, asked)


def order(table: SwarmTable, draw: int) -> Rows:
    """A draw: its rows in an order."""
    return np.random.default_rng(draw).permutation(len(table.shares))


def one(table: SwarmTable, larger: SwarmTable, fit: Fit, test: Rows, train: Rows) -> Outcome:
    """Fit some rows, and rank others."""
    started = _cpu_seconds()
    predict = fit(rows_of(table, train))
    seconds = _cpu_seconds() - started
    scores, truth = (
        Units.of(table).objective(values)
        for values in (predict(table.shares[test]), table.values[test])
    )
    best = truth.max()
    return Outcome(
        rho=float(spearmanr(scores, truth)[0]),
        error=float(np.sqrt(((scores - truth) ** 2).mean()) / truth.std()),
        regret=float((best - truth[scores.argmax()]) / (best - truth.mean())),
        seconds=seconds,
        larger=float(
            spearmanr(
                Units.of(table).objective(predict(larger.shares)),
                Units.of(larger).objective(larger.values),
            )[0]
        ),
    )


def _cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def rows_of(table: SwarmTable, rows: Rows) -> SwarmTable:
    """Some runs of a table.

    Args:
        table: The table.
        rows: Which of them.
    """
    places = tuple(table.places[k] for k in rows.tolist())
    return replace(table, shares=table.shares[rows], values=table.values[rows], places=places)


def report(objective: str, size: int, name: str, found: Sequence[Outcome]) -> list[Claim]:
    """Print a row of several draws; its figures."""
    rho, error, regret, seconds, larger = (
        np.array([getattr(one, field) for one in found])
        for field in ("rho", "error", "regret", "seconds", "larger")
    )
    print(
        f"| {size} | {name} | {rho.mean():.3f} ({rho.min():.3f} to {rho.max():.3f}) | "
        f"{error.mean():.2f} ({error.min():.2f} to {error.max():.2f}) | {regret.mean():.3f} "
        f"({regret.min():.3f} to {regret.max():.3f}) | {larger.mean():.2f} | "
        f"{seconds.mean():.1f} |",
        flush=True,
    )
    what = f"{objective}, {size} runs, {name}"
    return [
        Claim(f"{what}: {figure}", float(v.mean()), float(v.min()), float(v.max()), len(found))
        for figure, v in (("ρ", rho), ("error ÷ spread", error))
    ]


if __name__ == "__main__":
    main()
