"""Regressions from mixture to losses, as the published methods fit them.

Notation:
    λ: shares, ``(n, d)``.  y: losses, ``(n, sets)``, one regression per column.

Method:
    trees: LightGBM.  line: ridge regression on λ.  process: Gaussian process
    (`mixwise.search.surrogates`), noise and curvature by evidence. The log-linear law has a file of
    its own, `benchmarks.log_linear_law`.

Source:
    Liu et al. 2024 (RegMix, arXiv 2407.01492): trees and line; Rasmussen and Williams 2006: the
    process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixwise.search.surrogates.gaussian_process import JUMPING_KERNELS, KERNELS, Evidence, fit_all

Array = npt.NDArray[np.float64]
Predict = Callable[[Array], Array]
_RIDGE = 1e-2  # of the line, against shares of order 1


@dataclass(frozen=True, slots=True)
class Trees:
    """Settings of LightGBM: those that the papers give, and the leaves that they leave open.

    Args:
        n_rounds: Boosting rounds.
        learning_rate: Step of each.
        n_leaves: Leaves of a tree, at most.
        least_points: Points of a leaf, at least.
    """

    n_rounds: int = 300
    learning_rate: float = 0.02
    n_leaves: int = 8
    least_points: int = 1


def fit_trees(shares: Array, values: Array, settings: Trees = Trees()) -> Predict:
    """Fit one LightGBM regressor per column; few points give a constant."""
    from lightgbm import LGBMRegressor

    mean, sd = values.mean(axis=0), values.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    boosters = [
        LGBMRegressor(
            n_estimators=settings.n_rounds,
            learning_rate=settings.learning_rate,
            num_leaves=settings.n_leaves,
            min_child_samples=settings.least_points,
            min_child_weight=0.0,
            random_state=0,
            deterministic=True,
            force_row_wise=True,
            n_jobs=1,
            verbosity=-1,
        )
        .fit(shares, column)
        .booster_
        for column in ((values - mean) / sd).T
    ]

    def predict(points: Array) -> Array:
        columns = [np.asarray(booster.predict(points, num_threads=1)) for booster in boosters]
        return np.asarray(np.stack(columns, axis=1) * sd + mean)

    return predict


def fit_line(shares: Array, values: Array, ridge: float = _RIDGE) -> Predict:
    """Ridge regression around the mean."""
    mean = values.mean(axis=0)
    coefficients = _solve_ridge(shares, values - mean, ridge)
    return lambda points: np.asarray(mean + points @ coefficients)


def fit_process(shares: Array, values: Array, *, is_exact: bool = True) -> Predict:
    """A Gaussian process of each column.

    Args:
        shares: λ.
        values: y.
        is_exact: Whether the losses carry no noise, as those of merged models.
    """
    none = np.zeros((0, shares.shape[1]))
    kernels = KERNELS if is_exact else JUMPING_KERNELS
    evidence = [Evidence(shares, y, np.zeros(0, dtype=np.int64), none) for y in values.T]
    fitted = fit_all(evidence, has_floor=False, kernels=kernels)
    return lambda points: np.stack([each.predict(points)[0] for each in fitted], axis=1)


def fit_noisy_process(shares: Array, values: Array) -> Predict:
    """The same for losses of trained models."""
    return fit_process(shares, values, is_exact=False)


def _solve_ridge(shares: Array, values: Array, ridge: float) -> Array:
    gram = shares.T @ shares + ridge * np.eye(shares.shape[1])
    return np.asarray(np.linalg.solve(gram, shares.T @ values))
