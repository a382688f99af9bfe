"""The log-linear law of losses, by Olmix' Huber loss: all columns and starts at once.

Notation:
    λ: shares, ``(n, d)``.  y: losses, ``(n, m)``.  a, b: a law, ``(1 + d,)``.  r: residuals.

Method:
    y = exp(a) + exp(b·λ); shares that add up to 1 make a constant factor part of b. The least mean
    Huber loss by Levenberg and Marquardt's steps, residuals weighed by min(1, δ / |r|), from three
    starts a column, side by side as arrays. A step that does not lower a column's loss is not
    taken and is damped more. What runs do not determine stays near the start.

Source:
    Ye et al. 2024 (arXiv 2403.16952, eq. 1): the law; Chen et al. 2026 (Olmix, arXiv 2602.12237;
    its code's `LogLinearRegressor`): the loss. Marquardt 1963: the steps. Huber 1981: the weights.

Departures:
    Olmix takes a fixed number of steps of L-BFGS in float32 from 300 points, of which it gives the
    domain with the metric's number a negative b.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Predict = Callable[[Array], Array]
_STARTS = (-2.0, -0.25, 1.5)  # of a
_LARGEST = 50.0  # exponent
_HUBER = 0.02  # where the loss turns from squares to sizes
_STEPS = 200
_DAMPING = 1e-3
_SOFTER, _HARDER = 0.3, 4.0  # damping after a step that was taken, and one that was not
_LEAST, _MOST = 1e-12, 1e12


def fit_law(shares: Array, values: Array) -> Predict:
    """The log-linear law of each column.

    Args:
        shares: λ.
        values: y.
    """
    rng = np.random.default_rng(0)
    d = shares.shape[1]
    starts = np.array([np.append(a, 0.1 * rng.random(d)) for a in _STARTS])
    laws = np.repeat(starts, values.shape[1], axis=0)
    laws, losses = descend(laws, shares, np.tile(values.T, (len(starts), 1)))
    best = losses.reshape(len(starts), -1).argmin(axis=0)
    chosen = laws.reshape(len(starts), -1, 1 + d)[best, np.arange(values.shape[1])]
    return lambda points: predict(chosen, points).T


def predict(laws: Array, points: Array) -> Array:
    """What laws say of mixtures.

    Args:
        laws: Each a and b, ``(k, 1 + d)``.
        points: λ, ``(n, d)``.

    Returns:
        ŷ, ``(k, n)``.
    """
    return _exp(laws[:, :1]) + _exp(laws[:, 1:] @ points.T)


def descend(laws: Array, shares: Array, columns: Array) -> tuple[Array, Array]:
    """Lower the Huber loss of laws, each of its own column.

    Args:
        laws: Starts, ``(k, 1 + d)``.
        shares: λ, ``(n, d)``.
        columns: y of each law, ``(k, n)``.

    Returns:
        The laws, and the mean loss of each.
    """
    damping = np.full(len(laws), _DAMPING)
    losses = huber(predict(laws, shares) - columns)
    for _ in range(_STEPS):
        tried = laws + _steps(laws, shares, columns, damping)
        found = huber(predict(tried, shares) - columns)
        is_lower = found < losses
        laws = np.where(is_lower[:, None], tried, laws)
        losses = np.where(is_lower, found, losses)
        damping = (damping * np.where(is_lower, _SOFTER, _HARDER)).clip(_LEAST, _MOST)
    return laws, losses


def huber(missed: Array) -> Array:
    """Mean loss of each row of residuals."""
    size = np.abs(missed)
    return np.where(size < _HUBER, size**2 / 2, _HUBER * (size - _HUBER / 2)).mean(axis=1)


def _steps(laws: Array, shares: Array, columns: Array, damping: Array) -> Array:
    """(Jᵀ W J + μ I)⁻¹ Jᵀ W r of each, turned round, ``(k, 1 + d)``."""
    rising = _exp(laws[:, 1:] @ shares.T)  # (k, n)
    floor = np.broadcast_to(_exp(laws[:, :1]), rising.shape)
    slopes = np.concatenate([floor[..., None], rising[..., None] * shares], axis=2)  # (k, n, 1 + d)
    missed = floor + rising - columns
    weighed = slopes * (np.minimum(1, _HUBER / np.maximum(np.abs(missed), 1e-300)))[..., None]
    curvature = weighed.transpose(0, 2, 1) @ slopes
    curvature += damping[:, None, None] * np.eye(laws.shape[1])
    pull = (weighed.transpose(0, 2, 1) @ missed[..., None])[..., 0]
    return -np.linalg.solve(curvature, pull[..., None])[..., 0]


def _exp(exponent: Array) -> Array:
    """A number, also of steps too long to be taken and of what no run has held."""
    return np.asarray(np.exp(np.minimum(exponent, _LARGEST)))
