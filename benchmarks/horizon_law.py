"""A law of the loss in mixture and horizon, fitted to short runs: what trains mixtures, continued.

Notation:
    h: shares, ``(d,)``.  D: steps.  E, C_i, γ_i, B_i, β: the law's parameters, all positive.

Method:
    L(h, D) = E + 1 / Σ_i C_i h_i^γ_i + (Σ_i B_i h_i) / D^β, the joint law at one size of model, by
    least squares with a soft-L1 loss from two starts. Every point of a run is an observation, as
    the rate is constant.

Source:
    Shukor et al. 2025 (arXiv 2507.09404), the joint law.

Departures:
    The outer exponent of their B is left at 1, as β and B_i are not told from it by runs this
    short. They fit every target by itself; here the objective's mean is the target.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

Array = npt.NDArray[np.float64]
_EXPONENTS = (0.3, 1.0)  # starts of β
_MOST_EVALUATIONS = 40
_LEAST_SHARE = 1e-3
_BOUND = 12.0  # of the logarithms of E, C and B
_EXPONENT_BOUND = 2.0  # of those of γ and β


def fit_horizon_law(shares: Array, steps: Array, losses: Array) -> Callable[[Array, float], Array]:
    """Fit the law to observations.

    Args:
        shares: Of each observation, ``(n, d)``.
        steps: Of each, ``(n,)``.
        losses: Of each, ``(n,)``.

    Returns:
        Shares ``(m, d)`` and steps → losses, ``(m,)``.
    """
    n_domains = shares.shape[1]
    span = max(float(np.ptp(losses)), 1e-6)
    floor = max(float(losses.min()) - span, 1e-6)
    bounds = np.full(2 + 3 * n_domains, _BOUND)
    bounds[1 + n_domains : 1 + 2 * n_domains] = bounds[-1] = _EXPONENT_BOUND
    best = None
    for beta in _EXPONENTS:
        start = np.concatenate(
            [
                [np.log(floor)],
                np.full(n_domains, np.log(n_domains / span)),
                np.zeros(n_domains),
                np.full(n_domains, np.log(span * steps.min() ** beta)),
                [np.log(beta)],
            ]
        )
        found = least_squares(
            lambda p: _law(p, shares, steps) - losses,
            np.clip(start, 0.9 * -bounds, 0.9 * bounds),
            bounds=(-bounds, bounds),
            loss="soft_l1",
            f_scale=span / 10,
            max_nfev=_MOST_EVALUATIONS,
        )
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    parameters = best.x
    return lambda points, target: _law(parameters, points, np.full(len(points), target))


def _law(parameters: Array, shares: Array, steps: Array) -> Array:
    d = shares.shape[1]
    floor, c, gamma, b, beta = np.split(np.exp(parameters), [1, 1 + d, 1 + 2 * d, 1 + 3 * d])
    gained = (c * np.maximum(shares, _LEAST_SHARE) ** gamma).sum(axis=1)
    return np.asarray(floor + 1 / gained + (shares @ b) / steps**beta)
