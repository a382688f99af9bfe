"""Scores at a few points of the experts' runs, continued to the horizon of the final run.

Notation:
    h_1 < … < h_k: steps at which experts were merged.  T: steps of the final run; both as what they
    count for at the full learning rate.
    y_j(λ): a metric of mixture λ at h_j.  b: exponent.  x_b(h) = ∫ h^(−b−1) dh: log h where b = 0.

Method:
    Along a run a metric is taken for a straight line in x_b: a power law with the exponent b, or a
    straight line in log h where b is 0. Continued from the last two points it is

        y(T) = y_k + g (y_k − y_(k−1)) ,  g = (x_b(T) − x_b(h_k)) / (x_b(h_k) − x_b(h_(k−1))),

    a sum of what was measured, with weights that are the same for every mixture: so are its values
    per example and its slopes in the shares. With three points or more b is found, for each metric,
    as that which carries the earlier points to the last one over all mixtures that were measured,
    held near `_USUAL` by a prior. What it missed there, times how much farther T is, is what it is
    expected to miss; with two points, half of what it adds.

Source:
    Hestness et al. 2017 (arXiv 1712.00409) for power laws of the loss; the prior's centre and width
    are from development mixtures (``docs/science.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array

_USUAL, _WIDTH = 0.0, 0.25  # of b: centre and standard deviation of its prior
_GRID = np.linspace(-1.0, 2.0, 121)
_UNCHECKED = 0.5  # of what is added, where no earlier point was left to check it by


@dataclass(frozen=True, slots=True, eq=False)
class Continuation:
    """How a metric is continued.

    Args:
        weights: Of the metric at each point, shape ``(k,)``; they sum to 1.
        missed: What it is expected to miss at T of each mixture that it was found from, in the
            metric's unit, shape ``(n_mixtures,)``; zero where nothing is continued.
        exponent: b; None where nothing is continued.
    """

    weights: Array
    missed: Array
    exponent: float | None = None


def gain(points: Sequence[float], target: float, exponent: float) -> float:
    """Steps of the last two points' difference that lead from the last point to a target.

    Args:
        points: Steps of these points, rising.
        target: Steps to be reached.
        exponent: b.

    Example:
        >>> gain([2, 4], 16, 0.0), gain([2, 4], 16, 1.0)
        (2.0, 0.75)
    """
    before, last = points[-2:]
    return _way(last, target, exponent) / _way(before, last, exponent)


def _way(start: float, end: float, exponent: float) -> float:
    """x_b(end) − x_b(start)."""
    if abs(exponent) < 1e-9:
        return float(np.log(end / start))
    return float((start**-exponent - end**-exponent) / exponent)


def continue_metric(rows: Array, points: Sequence[float], target: float) -> Continuation:
    """Find how a metric is continued.

    Args:
        rows: Of some mixtures at every point, shape ``(n_mixtures, k)``.
        points: Steps, rising, shape ``(k,)``.
        target: Steps of the final run.
    """
    weights = np.zeros(len(points))
    if len(points) < 2 or target <= points[-1]:
        weights[-1] = 1
        return Continuation(weights, np.zeros(len(rows)))
    later = rows[:, -1] - rows[:, -2]
    if len(points) == 2:
        exponent = _USUAL
        g = gain(points, target, exponent)
        missed = _UNCHECKED * g * later
    else:
        exponent = _exponent(rows, points)
        g, checked = gain(points, target, exponent), gain(points[:-1], points[-1], exponent)
        missed = (later - checked * (rows[:, -2] - rows[:, -3])) * max(g / checked, 1.0)
    weights[-1], weights[-2] = 1 + g, -g
    return Continuation(weights, missed, exponent)


def _exponent(rows: Array, points: Sequence[float]) -> float:
    """The exponent that carries earlier points to the last."""
    steps, later = rows[:, -2] - rows[:, -3], rows[:, -1] - rows[:, -2]
    gains = np.array([gain(points[:-1], points[-1], b) for b in _GRID])
    squares = ((later[None] - gains[:, None] * steps[None]) ** 2).mean(axis=1)
    variance = max(float(squares.min()), np.finfo(float).tiny)
    cost = len(rows) * squares / variance + ((_GRID - _USUAL) / _WIDTH) ** 2
    return float(_GRID[int(cost.argmin())])
