"""Scores at a few points of the experts' runs, continued to the horizon of the final run.

Notation:
    h_1 < … < h_k: steps at which experts were merged.  T: steps of the final run; both as what they
    count for at the full learning rate.
    y_j(λ): a metric of mixture λ at h_j.  u: the uniform mixture.

Method:
    Along a run a metric is taken for a straight line in log h. Continued from the last two points

        y(T) = y_k + g (y_k − y_(k−1)) ,  g = log(T / h_k) / log(h_k / h_(k−1)),

    a sum of what was measured, with weights that are the same for every mixture: so are its values
    per example and its slopes in the shares. Where g is more than 2, mixtures are told apart by two
    such steps, and the rest is added to all alike, as it is of u: small differences would drown in
    what is multiplied. What the line missed from the point before the last two, times how much
    farther T is, is what it is expected to miss, of differences too, for what two steps leave out
    is missed; with two points, half of what it adds.

    Where it is asked for, the line must have earned it: if from the point before the last two it
    predicted the last one worse than no change would have, mixtures stay as far apart as they are
    at h_k. The same goes for the level, as u shows it.

Source:
    Development mixtures (``docs/science.md``): there a power law whose exponent each metric finds
    for itself ranked worse, as averages of metrics mix what each has found. Networks with labels:
    in their first steps losses follow what is learned of the labels' shares, back and forth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array

_MOST_GAIN = 2.0  # differences between mixtures are multiplied by no more
_UNCHECKED = 0.5  # of what is added, where no earlier point was left to check it by


@dataclass(frozen=True, slots=True, eq=False)
class Continuation:
    """How a metric is continued.

    Args:
        weights: Of the metric at each point, shape ``(k,)``; they sum to 1.
        shift: What is added for every mixture alike, in the metric's unit.
        missed: What it is expected to miss at T of each mixture that it was found from, in the
            metric's unit, shape ``(n_mixtures,)``; zero where nothing is continued.
        refused: What the line would have added to u, where it is not followed; else 0.
    """

    weights: Array
    shift: float
    missed: Array
    refused: float = 0.0


@dataclass(frozen=True, slots=True)
class ContinuationError:
    """What continuing may miss of an objective, in its unit: standard deviations.

    Args:
        single: Of a single domain's score; a mixture's errs by its share of each domain's.
        level: Of what all mixtures have alike.
    """

    single: float = 0.0
    level: float = 0.0

    def covariance(self, left: Array, right: Array) -> Array:
        """Covariance of the error over mixtures, ``(n_left, n_right)``."""
        return np.asarray(self.single**2 * left @ right.T + self.level**2)

    def variance(self, shares: Array) -> Array:
        """Its variance, ``(n,)``."""
        return np.asarray(self.single**2 * (shares**2).sum(axis=1) + self.level**2)


NOT_CONTINUED = ContinuationError()


def average_error(errors: Sequence[ContinuationError], weights: Array) -> ContinuationError:
    """One error with the mean covariance of several."""
    squares = [(error.single**2, error.level**2) for error in errors]
    single, level = np.sqrt(weights @ np.array(squares)).tolist()
    return ContinuationError(single, level)


def gain(points: Sequence[float], target: float) -> float:
    """Steps of the last two points' difference that lead from the last point to a target.

    Args:
        points: Steps of these points, rising.
        target: Steps to be reached.

    Example:
        >>> gain([2, 4], 16)
        2.0
    """
    before, last = points[-2:]
    return float(np.log(target / last) / np.log(last / before))


def continue_metric(
    rows: Array, points: Sequence[float], target: float, *, is_checked: bool = False
) -> Continuation:
    """Find how a metric is continued.

    Args:
        rows: Of some mixtures at every point, shape ``(n_mixtures, k)``; the last is u.
        points: Steps, rising, shape ``(k,)``.
        target: Steps of the final run.
        is_checked: Whether only a line is followed that has predicted the last point.
    """
    weights = np.zeros(len(points))
    weights[-1] = 1
    if len(points) < 2 or target <= points[-1]:
        return Continuation(weights, 0.0, np.zeros(len(rows)))
    later, whole = rows[:, -1] - rows[:, -2], gain(points, target)
    differences = level = whole
    missed = _UNCHECKED * whole * later
    if len(points) > 2:
        checked = gain(points[:-1], points[-1])
        off = later - checked * (rows[:, -2] - rows[:, -3])
        missed = off * max(whole / checked, 1.0)
        if is_checked and _spread(off) > _spread(later):
            differences = 0.0
        if is_checked and abs(off[-1]) > abs(later[-1]):
            level = 0.0
    g = min(differences, _MOST_GAIN)
    weights[-1], weights[-2] = 1 + g, -g
    at_uniform = float(later[-1])
    return Continuation(weights, (level - g) * at_uniform, missed, (whole - level) * at_uniform)


def _spread(values: Array) -> float:
    """How far values differ, squared."""
    return float(((values - values.mean()) ** 2).sum())
