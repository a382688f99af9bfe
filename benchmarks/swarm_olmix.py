"""`mixwise fit` against Olmix' own code, on the runs that RegMix published.

    git clone https://github.com/sail-sg/regmix; git clone https://github.com/allenai/olmix
    python -m benchmarks.swarm_olmix regmix/data --olmix olmix --python OLMIX_ENVIRONMENT/bin/python

Method:
    As `benchmarks.swarm`, whose tables, draws and figures these are, with the regressors of Olmix'
    ``olmix.fit`` called as its ``run_fit`` calls them, in an interpreter that has its packages:
    ``log_linear`` (300 starts of L-BFGS) and ``lightgbm`` (with RegMix' settings, which stop early
    on the training runs themselves). Nothing here was tuned on the 60M table.

Departures:
    `LogLinearRegressor` starts from a negative coefficient of the domain that has the metric's
    number; where metrics are not the domains' own losses, as here, that is a guess of Olmix'.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks import swarm

from mixwise.swarm import Asked, SwarmTable

Array = npt.NDArray[np.float64]
_KINDS = {"log-linear (Olmix' code)": "log_linear", "LightGBM (Olmix' code)": "lightgbm"}


def fit_by_olmix(
    table: SwarmTable, *, asked: Array, kind: str, olmix: Path, python: Path
) -> swarm.Predict:
    """A fit by Olmix, in a process of its own.

    Args:
        table: What is fitted.
        asked: All mixtures that will be asked for, which one process predicts with one fit.
        kind: Of its table of regressors.
        olmix: A checkout.
        python: An interpreter with its packages.
    """
    with tempfile.TemporaryDirectory() as folder:
        task, found = (Path(folder) / name for name in ("task.npz", "found.npz"))
        np.savez(task, shares=table.shares, values=table.values, asked=asked)
        subprocess.run(
            [python, Path(__file__).with_name("olmix_fits.py"), task, found, kind],
            env=os.environ | {"PYTHONPATH": str(olmix)},
            check=True,
            capture_output=True,
        )
        predicted: Array = np.load(found)["predicted"]
    known = {row.tobytes(): values for row, values in zip(asked, predicted, strict=True)}
    return lambda shares: np.stack([known[row.tobytes()] for row in shares])


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
    made = partial(
        fit_by_olmix,
        asked=np.concatenate([table.shares, larger.shares]),
        olmix=options.olmix.resolve(),
        python=options.python.absolute(),
    )
    fits: dict[str, Callable[[SwarmTable], swarm.Predict]] = {
        "mixwise fit": swarm.FITS["mixwise fit"],
        "LightGBM (RegMix)": swarm.FITS["LightGBM (RegMix)"],
        **{name: partial(made, kind=kind) for name, kind in _KINDS.items()},
        "line": swarm.FITS["line"],
    }
    print(f"\n{options.table}, {options.objective}, {options.draws} draws\n\n{swarm.HEAD}")
    for size in options.sizes:
        for name, fit in fits.items():
            orders = [swarm.order(table, k) for k in range(options.draws)]
            n = published.n_test
            found = [swarm.one(table, larger, fit, o[:n], o[n : n + size]) for o in orders]
            swarm.report(f"{options.table}, {options.objective}", size, name, found)


if __name__ == "__main__":
    main()
