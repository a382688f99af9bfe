"""`mixwise fit` against Olmix' own code, on the runs that RegMix published.

    git clone https://github.com/sail-sg/regmix; git clone https://github.com/allenai/olmix
    python -m benchmarks.swarm_olmix regmix/data --olmix olmix --python OLMIX_ENVIRONMENT/bin/python

Method:
    As `benchmarks.swarm`, whose tables, draws and figures these are, with the regressors of Olmix'
    ``olmix.fit`` called as its ``run_fit`` calls them, in an interpreter that has its packages:
    ``log_linear`` (L-BFGS from 300 points) and ``lightgbm`` (with RegMix' settings, which stop
    early on the training runs themselves). Nothing here was tuned on the 60M table.

Departures:
    Olmix stops a start where a step gains less than `early_stopping`, which is 0: never. Each start
    takes all its 2,000 iterations, two CPU seconds here, and a fit ten minutes a metric. Here a
    fit begins at ten of the 300 points, one a level of the law; the first draw is fitted from 30
    and 100 of them too, to see what more starts gain.
    `LogLinearRegressor` starts from a negative coefficient of the domain that has the metric's
    number; where metrics are not the domains' own losses, as here, that is a guess of Olmix'.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks import swarm

from mixwise.swarm import Asked, SwarmTable

Array = npt.NDArray[np.float64]
_N_STARTS = 300
_EVERY = 30  # of the starts one is kept: ten
_MORE = (30, 10, 3)  # 10, 30 and 100 starts
_KINDS = {"log-linear (Olmix' code)": "log_linear", "LightGBM (Olmix' code)": "lightgbm"}


@dataclass(frozen=True, slots=True, eq=False)
class OlmixFit:
    """What Olmix makes of some runs.

    Args:
        predicted: Metrics of all mixtures that were asked for.
        loss: Mean Huber loss of the runs that were fitted.
    """

    predicted: Array
    loss: float


Fit = Callable[[SwarmTable], OlmixFit]


def fit_by_olmix(
    table: SwarmTable, *, asked: Array, kind: str, every: int, olmix: Path, python: Path
) -> OlmixFit:
    """A fit by Olmix, in a process of its own.

    Args:
        table: What is fitted.
        asked: All mixtures that will be asked for, which one process predicts with one fit.
        kind: Of its table of regressors.
        every: One of so many of its starting points is kept.
        olmix: A checkout.
        python: An interpreter with its packages.
    """
    with tempfile.TemporaryDirectory() as folder:
        task, found = (Path(folder) / name for name in ("task.npz", "found.npz"))
        np.savez(task, shares=table.shares, values=table.values, asked=asked)
        subprocess.run(
            [python, Path(__file__).with_name("olmix_fits.py"), task, found, kind, str(every)],
            env=os.environ | {"PYTHONPATH": str(olmix)},
            check=True,
            capture_output=True,
        )
        made = np.load(found)
        return OlmixFit(made["predicted"], float(made["loss"]))


def predict_by_olmix(table: SwarmTable, *, asked: Array, fit: Fit) -> swarm.Predict:
    """A surrogate as `benchmarks.swarm` asks it, of mixtures that were asked for."""
    predicted = fit(table).predicted
    known = {row.tobytes(): values for row, values in zip(asked, predicted, strict=True)}
    return lambda shares: np.stack([known[row.tobytes()] for row in shares])


def print_starts(table: SwarmTable, fits: Mapping[int, Fit]) -> None:
    """Print what a log-linear fit gains by more starting points."""
    made = {every: fit(table) for every, fit in fits.items()}
    most = made[min(made)].predicted
    print("\n| starts | mean Huber loss | largest difference of a prediction |\n|---|---|---|")
    for every, found in made.items():
        apart = float(np.abs(found.predicted - most).max())
        print(f"| {_N_STARTS // every} | {found.loss:.4g} | {apart:.2g} |", flush=True)


def main() -> None:
    """Print a row a size and surrogate."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="RegMix' folder `data`.")
    parser.add_argument("--olmix", type=Path, required=True, help="A checkout of Olmix.")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--table", choices=list(swarm.SWARMS), default="60M (report)")
    parser.add_argument("--objective", choices=list(swarm.OBJECTIVES), default="Pile-CC")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    published = swarm.SWARMS[options.table]
    columns = Asked(metrics=swarm.OBJECTIVES[options.objective], by=("index",))
    table, larger = (swarm.read(options.folder, p, columns) for p in (published, swarm.LARGER))
    asked = np.concatenate([table.shares, larger.shares])
    made = partial(
        fit_by_olmix,
        asked=asked,
        olmix=options.olmix.resolve(),
        python=options.python.absolute(),
    )
    olmix = {
        name: partial(predict_by_olmix, asked=asked, fit=partial(made, kind=kind, every=_EVERY))
        for name, kind in _KINDS.items()
    }
    fits: dict[str, Callable[[SwarmTable], swarm.Predict]] = {
        "mixwise fit": swarm.FITS["mixwise fit"],
        "LightGBM (RegMix)": swarm.FITS["LightGBM (RegMix)"],
        **olmix,
        "line": swarm.FITS["line"],
    }
    print(f"\n{options.table}, {options.objective}, {options.draws} draws\n\n{swarm.HEAD}")
    for size in options.sizes:
        for name, fit in fits.items():
            orders = [swarm.order(table, k) for k in range(options.draws)]
            n = published.n_test
            found = [swarm.one(table, larger, fit, o[:n], o[n : n + size]) for o in orders]
            swarm.report(f"{options.table}, {options.objective}", size, name, found)
    first = swarm.order(table, 0)[published.n_test : published.n_test + options.sizes[0]]
    print_starts(
        swarm.rows_of(table, first),
        {every: partial(made, kind="log_linear", every=every) for every in _MORE},
    )


if __name__ == "__main__":
    main()
