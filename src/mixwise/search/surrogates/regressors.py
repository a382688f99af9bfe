"""Regressions from mixture to metric.

Notation:
    λ: shares, ``(n, n_domains)``.  y: metrics, ``(n, n_terms)``.

Method:
    quadratic: Scheffé's polynomial Σ βᵢλᵢ + Σ_{i<j} βᵢⱼλᵢλⱼ per metric, by least squares; on the
    {N, 2} lattice it passes through every point.
    trees: LightGBM per metric, few leaves and small leaves, because a design has tens of points.

Source:
    Scheffé 1958; Wang et al. 2026 (arXiv 2601.17858) for LightGBM, which gives no settings; these
    follow Li et al. 2026 (arXiv 2602.00747): learning rate 0.02, 300 rounds.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mixwise.arrays import Array
from mixwise.search.problem import Predict


def quadratic_features(shares: Array) -> Array:
    """λᵢ and λᵢλⱼ (i < j), shape ``(n, N(N+1)/2)``.

    Example:
        >>> quadratic_features(np.array([[0.5, 0.5]])).tolist()
        [[0.5, 0.5, 0.25]]
    """
    pairs = list(combinations(range(shares.shape[1]), 2))
    left, right = [i for i, _ in pairs], [j for _, j in pairs]
    return np.concatenate([shares, shares[:, left] * shares[:, right]], axis=1)


def fit_quadratic(shares: Array, values: Array) -> Predict:
    """Fit a quadratic per metric; the flattest one where the points don't determine it.

    Args:
        shares: λ, shape ``(n, n_domains)``.
        values: y, shape ``(n, n_terms)``.

    Returns:
        Shares → predicted metrics.
    """
    coefficients = np.linalg.lstsq(quadratic_features(shares), values, rcond=1e-9)[0]
    return lambda points: np.asarray(quadratic_features(points) @ coefficients)


def fit_trees(shares: Array, values: Array, *, seed: int) -> Predict:
    """Fit one LightGBM regressor per metric; deterministic for a seed.

    Args:
        shares: λ, shape ``(n, n_domains)``.
        values: y, shape ``(n, n_terms)``; centred and scaled inside.
        seed: LightGBM's.

    Returns:
        Shares → predicted metrics.
    """
    from lightgbm import LGBMRegressor

    if len(shares) == 1:
        return lambda points: np.repeat(values, len(points), axis=0)
    mean, sd = values.mean(axis=0), values.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    boosters = [
        LGBMRegressor(
            n_estimators=300,
            learning_rate=0.02,
            num_leaves=8,
            min_child_samples=3,
            min_child_weight=0.0,
            random_state=seed,
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
