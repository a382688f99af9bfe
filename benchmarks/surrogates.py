"""Regressions from mixture to losses, as the published methods fit them.

Notation:
    λ: shares, ``(n, d)``.  y: losses, ``(n, sets)``, one regression per column.

Method:
    trees: LightGBM.  line: ridge regression on λ.  law: y = exp(a) + exp(b·λ), where shares that
    add up to 1 make a constant factor part of b; a and b by the Huber loss, the best of three
    starts.  process: Gaussian process (`mixwise.search.surrogates`), noise and curvature by
    evidence.

Source:
    Liu et al. 2024 (RegMix, arXiv 2407.01492): trees and line; Ye et al. 2024 (arXiv 2403.16952,
    eq. 1): the law, fitted as in Olmix (arXiv 2602.12237; its code's `LogLinearRegressor`);
    Rasmussen and Williams 2006: the process.

Departures:
    Olmix takes a fixed number of steps of L-BFGS in float32 from 300 points, of which it gives the
    domain with the metric's number a negative b. Here the same loss is minimised to convergence as
    non-linear least squares: three starts meet in one law, of less loss than Olmix' own, in a
    twentieth of the time of one of its starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from mixwise.search.surrogates.gaussian_process import JUMPING_KERNELS, KERNELS, Evidence, fit_all

Array = npt.NDArray[np.float64]
Predict = Callable[[Array], Array]
_RIDGE = 1e-2  # of the line, against shares of order 1
_LAW_STARTS = (-2.0, -0.25, 1.5)  # of a
_LARGEST = 50.0  # exponent
_HUBER = 0.02  # where the loss turns from squares to sizes


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


def fit_law(shares: Array, values: Array) -> Predict:
    """The log-linear law of each column."""
    laws = np.array([_fit_one_law(shares, column) for column in values.T])
    return lambda points: np.asarray(np.exp(laws[:, 0]) + np.exp(points @ laws[:, 1:].T))


def _fit_one_law(shares: Array, column: Array) -> Array:
    """The a and b of the least Huber loss, ``(1 + d,)``."""
    rng = np.random.default_rng(0)

    def missed(law: Array) -> Array:
        return np.asarray(_exp(law[0]) + _exp(shares @ law[1:]) - column)

    def slopes(law: Array) -> Array:
        floor = np.full((len(column), 1), _exp(law[0]))
        return np.hstack([floor, _exp(shares @ law[1:])[:, None] * shares])

    starts = [np.append(a, 0.1 * rng.random(shares.shape[1])) for a in _LAW_STARTS]
    found = [
        least_squares(missed, start, slopes, loss="huber", f_scale=_HUBER, x_scale="jac")
        for start in starts
    ]
    return np.asarray(min(found, key=lambda each: float(each.cost)).x)


def _exp(exponent: Array) -> Array:
    """Of steps too long to be taken, a number still."""
    return np.asarray(np.exp(np.minimum(exponent, _LARGEST)))


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
