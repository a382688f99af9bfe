"""Predictions of Olmix' own regressors, made in an environment that Olmix runs in.

    PYTHONPATH=OLMIX python benchmarks/olmix_fits.py TASK.npz FOUND.npz KIND EVERY

``TASK.npz`` holds ``shares``, ``values`` and ``asked``; ``FOUND.npz`` gets ``predicted``, a column
a metric, and ``loss``, the mean Huber loss of the runs that were fitted. Nothing of mixwise is
imported; KIND is a key of Olmix' table of regressors. EVERY keeps one of so many of the 300 points
that its log-linear law is fitted from; they stand in ten blocks of 30, a level of the law each.
"""

from __future__ import annotations

import logging
import sys
from itertools import islice

import numpy as np

_DELTA = 0.02  # of the Huber loss, as in Olmix


def main() -> None:
    """Fit every metric by Olmix' class with its own settings, and predict."""
    from olmix.fit import utils

    logging.disable(logging.INFO)
    task, found, kind, every = sys.argv[1:]
    starts = utils.init_params_log_linear_law
    utils.init_params_log_linear_law = lambda *a, **k: islice(starts(*a, **k), 0, None, int(every))
    given = np.load(task)
    shares, values, asked = given["shares"], given["values"], given["asked"]
    models = [utils.build_regression(m, values, shares, kind, 0.0) for m in range(values.shape[1])]
    predicted, fitted = (
        np.stack([np.asarray(model.predict(x), float) for model in models], axis=1)
        for x in (asked, shares)
    )
    missed = np.abs(fitted - values)
    loss = np.where(missed < _DELTA, missed**2 / 2, _DELTA * (missed - _DELTA / 2)).mean()
    np.savez(found, predicted=predicted, loss=loss)


if __name__ == "__main__":
    main()
