"""Predictions of Olmix' own regressors, made in an environment that Olmix runs in.

    PYTHONPATH=OLMIX python benchmarks/olmix_fits.py TASK.npz FOUND.npz KIND

``TASK.npz`` holds ``shares``, ``values`` and ``asked``; ``FOUND.npz`` gets ``predicted``, a column
a metric. Nothing of mixwise is imported; KIND is a key of Olmix' table of regressors.
"""

from __future__ import annotations

import logging
import sys

import numpy as np


def main() -> None:
    """Fit every metric by Olmix' class with its own settings, and predict."""
    from olmix.fit.utils import build_regression

    logging.disable(logging.INFO)
    task, found, kind = sys.argv[1:]
    given = np.load(task)
    shares, values, asked = given["shares"], given["values"], given["asked"]
    columns = [
        build_regression(m, values, shares, kind, 0.0).predict(asked)
        for m in range(values.shape[1])
    ]
    np.savez(found, predicted=np.stack(columns, axis=1))


if __name__ == "__main__":
    main()
