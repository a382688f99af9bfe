"""Among equals the simplest: of mixtures that cannot be told apart, the nearest to an anchor.

Notation:
    b: mixture with the largest corrected score.  a: the anchor, such as the uniform mixture.
    d(x): expected score of b less that of x.  s(x): standard deviation of that difference.
    τ: what references missed by that the discrepancy does not expect (`unexplained`).

Method:
    x cannot be told from b where d(x) ≤ s(x). Three things make s²: the evaluation examples that
    were drawn (bootstrap, paired), the posterior of the discrepancy at both mixtures together (its
    prior, where no reference was trained), and 2τ² times the total variation between x and b. One
    deviation is a rule of choice and no test: at 1.96 the anchor was taken where the highest score
    was right, at less than one where it was noise (``benchmarks/LOG.md``).
    Looked at is the anchor; where it can be told from b, and all of the space may be recommended,
    points on the line from b to the anchor, of which the nearest to it is taken that is behind by
    no more than s / 4, the examples left out: every step there costs expected score and gains no
    simpler recipe (``benchmarks/LOG.md`` has what wider limits cost).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mixwise.arrays import Array
from mixwise.decision.calibration import Calibrated
from mixwise.decision.discrepancy import unexplained
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.search.problem import mixture_of, shares_of

Preference = Literal["uniform", "available", "none"]
_TOLD_APART = 1.0  # standard deviations of a difference
_BETWEEN = 0.25  # the same for mixtures that are nearer to the anchor without being it
_N_STEPS = 20
_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Equals:
    """What the choice among equals rests on.

    Args:
        anchor: The simplest mixture.
        behind: Expected score of the best less that of the anchor.
        deviation: Standard deviation of that difference.
    """

    anchor: Mixture
    behind: float
    deviation: float

    @property
    def holds_anchor(self) -> bool:
        """Whether the anchor cannot be told from the best."""
        return self.behind <= _TOLD_APART * self.deviation


def compare_with_anchor(
    calibrated: Calibrated, best: Observation, anchor: Observation, example_deviation: float
) -> Equals:
    """Compare the best mixture with the simplest.

    Args:
        calibrated: The corrected proxy.
        best: The observation with the largest corrected score.
        anchor: The proxy's observation of the anchor.
        example_deviation: Standard deviation of the difference of their proxy scores over
            evaluation examples.
    """
    deviation = _deviations(calibrated, shares_of([anchor]), best)[0]
    value = [_corrected(calibrated, observation) for observation in (best, anchor)]
    return Equals(
        mixture_of(anchor),
        max(value[0] - value[1], 0.0),
        float(np.hypot(deviation, example_deviation)),
    )


def simplest_between(calibrated: Calibrated, best: Observation, equals: Equals) -> Mixture:
    """The point nearest to the anchor, on the line to it, that is as good as the best.

    Args:
        calibrated: The corrected proxy.
        best: The observation with the largest corrected score.
        equals: Its comparison with the anchor.
    """
    start, end = mixture_of(best), equals.anchor
    steps = np.linspace(0, 1, _N_STEPS + 1)[1:, None]
    points = start.array + steps * (end.array - start.array)
    behind = calibrated.value(start.array[None])[0] - calibrated.value(points)
    kept = points[behind <= _BETWEEN * _deviations(calibrated, points, best)]
    if not len(kept):
        return start
    return calibrated.problem.space.rounded(kept[-1], _DECIMALS)


def _corrected(calibrated: Calibrated, observation: Observation) -> float:
    missed = calibrated.missed(shares_of([observation]))[0]
    return float(calibrated.problem.value(observation) + missed)


def _deviations(calibrated: Calibrated, points: Array, best: Observation) -> Array:
    """Deviation of the difference between points and the best, examples left out, ``(n,)``."""
    start = mixture_of(best).array
    _, covariance = calibrated.posterior.joint(np.concatenate([start[None], points]))
    own = np.diag(covariance)
    variance = np.maximum(own[1:] + own[0] - 2 * covariance[0, 1:], 0)
    missed = unexplained(calibrated.trained, continued=calibrated.problem.continued)
    apart = np.abs(points - start).sum(axis=1) / 2
    return np.asarray(np.sqrt(variance + 2 * missed**2 * apart))
