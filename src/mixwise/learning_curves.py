"""The experts' learning curves, put together: where a mixture's metric stands at the final horizon.

Notation:
    G_j(n): gain of expert j over the base after n steps, in the metric's unit, in the direction
    that is better.  T: steps of the final run; steps are what they count for at the full learning
    rate.  λ: shares.  a: the expert that gains most.

Method:
    A mixture reads λ_j T steps of domain j, which are worth as much as so many steps of a:

        N(λ) = Σ_j G_a⁻¹(G_j(λ_j T)) ,   gain(λ) = G_a(N(λ)) .

    G_a⁻¹(g) is the first n at which G_a has reached g. Steps of an expert that loses ground count
    for nothing: what one domain alone makes the model forget, the others keep up in a mixture,
    also where a itself loses ground at first. Curves are straight from 0 to the first point,
    straight in log n between points, and beyond the last on the line from the third last: with
    experts of a quarter, a mixture of five domains reads of each what its expert has read.

Source:
    Hernandez et al. 2021 (arXiv 2102.01293): data of another distribution, in effective data of
    one's own.

Departures:
    They fit a power law to many runs; three points of one run carry no exponent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixwise.arrays import Array

_LAST = 3  # points that the line beyond the last one is drawn from
_N_GRID = 400
_SHORTEST = 0.05  # steps


def add_curves(gains: Array, points: Sequence[float], shares: Array, target: float) -> float | None:
    """Gain of a mixture at the final horizon.

    Args:
        gains: G_j at the points, shape ``(n_experts, n_points)``.
        points: Steps, rising, shape ``(n_points,)``.
        shares: λ, ``(n_experts,)``.
        target: T.

    Returns:
        The gain; None where no expert gains, or there are fewer than two points.

    Example:
        >>> round(add_curves(np.array([[1.0, 2.0], [0, 0]]), [1, 2], np.array([0.5, 0.5]), 4), 3)
        2.0
    """
    best = int(gains[:, -1].argmax())
    if len(points) < 2 or gains[best, -1] <= 0:
        return None
    grid = np.concatenate([[0.0], np.geomspace(_SHORTEST, target, _N_GRID)])
    rising = np.maximum.accumulate(_follow(gains[best], points, grid))
    n_steps = 0.0
    for j, (curve, share) in enumerate(zip(gains, shares.tolist(), strict=True)):
        gained = float(_follow(curve, points, np.array([share * target]))[0])
        n_steps += share * target if j == best else _first_steps(rising, grid, gained)
    reached = np.array([min(n_steps, target)])
    return float(_follow(gains[best], points, reached)[0])


def _first_steps(rising: Array, grid: Array, gained: float) -> float:
    """Where a curve that never falls first reaches a gain; at its end where it never does."""
    after = int(np.searchsorted(rising, gained))
    if after in (0, len(grid)):
        return float(grid[min(after, len(grid) - 1)])
    between = slice(after - 1, after + 1)  # `interp` alone would take the end of a level stretch
    return float(np.interp(gained, rising[between], grid[between]))


def _follow(curve: Array, points: Sequence[float], steps: Array) -> Array:
    """A gain after any number of steps, shape of ``steps``."""
    logs = np.log(points)
    first = max(0, len(points) - _LAST)
    slope = (curve[-1] - curve[first]) / (logs[-1] - logs[first])
    log_steps = np.log(np.maximum(steps, _SHORTEST / 2))
    between = np.interp(log_steps, logs, curve)
    beyond = curve[-1] + slope * (log_steps - logs[-1])
    before = curve[0] * steps / points[0]
    found = np.where(steps < points[0], before, between)
    return np.asarray(np.where(steps > points[-1], beyond, found))
