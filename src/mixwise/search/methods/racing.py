"""Racing: candidates are compared on growing parts of the examples, and losers dropped early.

Notation:
    K: candidates.  α: error rate.  g_m: gain of metric m.
    p_λ(e): control variate, what example e of a candidate is predicted to be.

Method:
    All candidates see the same examples in the same order, so that only paired differences vary.
    A candidate is dropped as soon as the leader's objective exceeds its own for sure by the
    boundary of `boundary`, at α/(K − 1): the best one survives with probability 1 − α.
    The control variate subtracts β p_λ(e) from what is seen and adds β times its mean over all
    examples back: p is interpolated over mixtures of which all examples are known, such as the
    experts, and β is regressed over all candidates.
    The worst gain has no paired difference. A candidate goes when each gain of the leader exceeds
    one and the same gain of the candidate, at α/(K − 1) over the square of the number of metrics.

Source:
    Maron and Moore 1997 (Artif. Intell. Rev. 11) for racing; Cochran 1977 (Sampling Techniques,
    §7) for the regression estimator.

Departures:
    Against Hoeffding's bound of the source, see `boundary`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.scorer import Part, Request
from mixwise.search.methods.boundary import RaceEvidence, exceeds
from mixwise.search.problem import SearchProblem, shares_of

Indices = npt.NDArray[np.int64]
_MOST_BLOCKS = 64
_GROWTH = 1.3  # of the part seen, from look to look
_RIDGE = 1e-3  # of the interpolation, against its kernel's plane
_CURVATURE = 0.1  # of the same


@dataclass(frozen=True, slots=True)
class Race:
    """How a race went.

    Args:
        winner: The one that was never dropped, or the best of those on all examples.
        seen: Share of the examples that was evaluated, over all candidates, in (0, 1].
    """

    winner: Mixture
    seen: float


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """What the candidates that are left show on one metric.

    Args:
        share: Weight of the metric in the mean objective, w_m / Σw.
        weights: Of all examples, shape ``(n_examples,)``, mean 1.
        controls: Gain of each example as predicted, ``(n_candidates, n_examples)``.
        order: Examples seen, shape ``(n_seen,)``.
        gains: Gain of each example seen, ``(n_candidates, n_seen)``.
    """

    share: float
    weights: Array
    controls: Array
    order: Indices
    gains: Array

    def grown(self, order: Indices, gains: Array) -> Lane:
        """The lane with more examples seen."""
        joined = np.concatenate([self.gains, gains], axis=1)
        return replace(self, order=np.concatenate([self.order, order]), gains=joined)

    def kept(self, rows: Sequence[int]) -> Lane:
        """The lane with some of its candidates."""
        return replace(self, controls=self.controls[rows], gains=self.gains[rows])

    def evidence(self) -> RaceEvidence:
        """Gains less what the control variate explains, and its mean over all examples."""
        weights = self.weights[self.order]
        controls = self.controls[:, self.order]
        slope = _pooled_slope(self.gains, controls)
        offsets = slope * np.average(self.controls, axis=1, weights=self.weights)
        return RaceEvidence(
            self.share, offsets, self.gains - slope * controls, weights, len(self.weights)
        )


def race(problem: SearchProblem, candidates: Sequence[Mixture], *, alpha: float = 0.05) -> Race:
    """Find the best of some candidates without evaluating all of them on everything.

    Args:
        problem: Its scorer and objective. The more mixtures are `known` on all examples, the better
            the control variate; without any, the first candidate is scored in full.
        candidates: Different mixtures, at least one.
        alpha: Probability with which the best candidate may be dropped, in (0, 1).

    Returns:
        The winner, which is the best on all examples with probability 1 − alpha.
    """
    pilots = problem.known or problem.scorer.score(candidates[:1])
    lanes = _starting_lanes(problem, pilots, candidates)
    looks = look_schedule(min(len(lane.weights) for lane in lanes))
    level = alpha / max(1, len(candidates) - 1)
    field, first, n_blocks = list(candidates), 0, 0
    for last in looks:
        part = Part(first, last, looks[-1])
        answers = problem.scorer.score(field, Request(part=part))
        n_blocks += len(field) * (last - first)
        lanes = _grow(problem, lanes, answers, part)
        is_worst = problem.objective.aggregation == "worst"
        rows = survivors([lane.evidence() for lane in lanes], level, is_worst=is_worst)
        field, lanes, first = [field[i] for i in rows], [lane.kept(rows) for lane in lanes], last
        if len(field) == 1:
            break
    return Race(field[0], n_blocks / (len(candidates) * looks[-1]))


def look_schedule(n_examples: int) -> tuple[int, ...]:
    """Blocks seen after each look; the last is all there are.

    Example:
        >>> look_schedule(8)
        (1, 2, 3, 4, 5, 7, 8)
    """
    n_blocks = min(n_examples, _MOST_BLOCKS)
    looks = [1]
    while looks[-1] < n_blocks:
        looks.append(min(n_blocks, max(looks[-1] + 1, int(looks[-1] * _GROWTH + 0.5))))
    return tuple(looks)


def survivors(lanes: Sequence[RaceEvidence], level: float, *, is_worst: bool) -> list[int]:
    """Candidates that nothing speaks against yet, best first.

    Args:
        lanes: What is seen of each metric.
        level: Probability with which one rival may wrongly drop the best.
        is_worst: Whether the objective is the worst gain.

    Returns:
        Their rows; one alone when all examples are seen.
    """
    gains = np.stack([lane.means() for lane in lanes])
    shares = np.array([lane.share for lane in lanes])
    heights = gains.min(axis=0) if is_worst else shares @ gains
    order = [int(i) for i in np.argsort(-heights, kind="stable")]
    if all(lane.is_complete for lane in lanes):
        return order[:1]
    beaten = _beaten_in_worst if is_worst else _beaten_in_mean
    return order[:1] + [i for i in order[1:] if not beaten(lanes, order[0], i, level)]


def _beaten_in_mean(lanes: Sequence[RaceEvidence], leader: int, rival: int, level: float) -> bool:
    return exceeds([lane.difference(leader, rival, lane.share) for lane in lanes], level)


def _beaten_in_worst(lanes: Sequence[RaceEvidence], leader: int, rival: int, level: float) -> bool:
    """Whether all of the leader's gains exceed one of the rival's, which bounds its worst."""
    each = level / len(lanes) ** 2
    for low, lane in enumerate(lanes):
        rest = [
            [lane.difference(leader, rival, 1.0)]
            if m == low
            else [other.alone(leader, 1.0), lane.alone(rival, -1.0)]
            for m, other in enumerate(lanes)
        ]
        if all(exceeds(terms, each) for terms in rest):
            return True
    return False


def _starting_lanes(
    problem: SearchProblem, pilots: Sequence[Observation], candidates: Sequence[Mixture]
) -> list[Lane]:
    """One lane per metric that tells mixtures apart, with nothing seen yet."""
    objective, spread = problem.objective, problem.scale.spread
    terms = [term for term in objective.terms if spread[term.metric.name] > 0]
    total = sum(term.weight for term in terms)
    blend = _interpolation(shares_of(pilots), np.array([c.shares for c in candidates]))
    lanes = []
    for term in terms:
        rows = [pilot.measurement(term.metric.name) for pilot in pilots]
        unit = term.metric.sign / spread[term.metric.name]
        base = problem.scale.base[term.metric.name]
        known = unit * (np.array([row.examples for row in rows]) - base)
        weights = rows[0].example_weights / rows[0].example_weights.mean()
        nothing = np.zeros((len(candidates), 0))
        share = term.weight / total
        lanes.append(Lane(share, weights, blend @ known, np.arange(0), nothing))
    return lanes


def _grow(
    problem: SearchProblem, lanes: Sequence[Lane], answers: Sequence[Observation], part: Part
) -> list[Lane]:
    scale = problem.scale
    metrics = [m for m in problem.objective.metrics if scale.spread[m.name] > 0]
    grown = []
    for metric, lane in zip(metrics, lanes, strict=True):
        order = part.examples(len(lane.weights))
        values = np.array([answer.measurement(metric.name).examples for answer in answers])
        if values.shape[1] > len(order):  # a scorer may measure more than it was asked for
            values = values[:, order]
        gains = metric.sign / scale.spread[metric.name] * (values - scale.base[metric.name])
        grown.append(lane.grown(order, gains))
    return grown


def _interpolation(known: Array, wanted: Array) -> Array:
    """Weights of the known mixtures at each wanted one, ``(n_wanted, n_known)``."""
    middle = known.mean(axis=0)

    def kernel(left: Array, right: Array) -> Array:
        u = (left - middle) @ (right - middle).T
        return np.asarray(u + _CURVATURE * u**2 / 2)

    matrix = kernel(known, known) + _RIDGE * np.eye(len(known))
    deviation = np.linalg.solve(matrix, kernel(known, wanted)).T
    return np.asarray(deviation + (1 - deviation.sum(axis=1, keepdims=True)) / len(known))


def _pooled_slope(gains: Array, controls: Array) -> float:
    """Regression of gains on controls over candidates' differences from their mean."""
    left, right = gains - gains.mean(axis=0), controls - controls.mean(axis=0)
    left, right = left - left.mean(axis=1, keepdims=True), right - right.mean(axis=1, keepdims=True)
    return float((left * right).sum() / max(float((right**2).sum()), 1e-30))
