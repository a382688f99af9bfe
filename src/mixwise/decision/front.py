"""The Pareto front of two or three groups of metrics, and where the recommendation stands.

Method:
    `mixwise.search.front` scores what may lie on the front. Points are picked of all mixtures that
    the proxy has scored within the bounds, so that none of them is worse for all groups than
    another scored mixture. The recommendation stays that of the objective.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mixwise.decision.bootstrap import bootstrap_objective, interval
from mixwise.decision.forecast import Range
from mixwise.decision.recommend import Decision
from mixwise.decision.score import Score
from mixwise.observation import Observation
from mixwise.search.front import Group, choose_front, gains_of, search_front
from mixwise.search.problem import SearchProblem


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A mixture and what it gains in each group.

    Args:
        score: Of the mixture, by the proxy.
        gains: Objective of each group alone, in the order of the groups.
        intervals_95: Of each, over resampled evaluation examples.
    """

    score: Score
    gains: tuple[float, ...]
    intervals_95: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Front:
    """The Pareto front of some groups, by the proxy.

    Args:
        groups: Their names.
        points: The front, the best for the first group first.
        recommended: The recommended mixture, on the front or off it.
        behind: What one scored mixture gains over it in every group at once; 0 where none does.
        n_scored: Mixtures that were scored for the front alone.
        evaluated_tokens: Tokens that were evaluated for them.
    """

    groups: tuple[str, ...]
    points: tuple[FrontPoint, ...]
    recommended: FrontPoint
    behind: float
    n_scored: int
    evaluated_tokens: int


def trace_front(decision: Decision, groups: Sequence[str], base: Observation | None) -> Front:
    """Trace the front of groups of the objective's metrics.

    Args:
        decision: What is recommended, and the search that it rests on.
        groups: Two or three groups of the objective's terms (`Term.group`).
        base: The base model by the proxy, which pairs the examples; None where there is none.
    """
    calibrated = decision.calibrated
    problem, found = calibrated.problem, calibrated.found
    every = [Group(problem, problem.objective.of_group(name)) for name in groups]
    known = _inside(problem, [*found.scored, *problem.known, decision.highest, decision.best])
    new = search_front(every, found, calibrated.surface, known)
    pool = [*known, *new]
    gains, own = gains_of(every, pool), gains_of(every, [decision.best])
    chosen = [pool[k] for k in choose_front(gains)]
    *points, recommended = _points(every, [*chosen, decision.best], base)
    return Front(
        groups=tuple(groups),
        points=tuple(points),
        recommended=recommended,
        behind=max(float((gains - own).min(axis=1).max()), 0.0),
        n_scored=len(new),
        evaluated_tokens=sum(o.tokens_evaluated for o in new),
    )


def _inside(problem: SearchProblem, observations: Sequence[Observation]) -> list[Observation]:
    """Those within the bounds, each mixture once."""
    inside = [o for o in observations if o.mixture and problem.space.contains(o.mixture)]
    return list({str(o.mixture): o for o in inside}.values())


def _points(
    groups: Sequence[Group], observations: Sequence[Observation], base: Observation | None
) -> list[FrontPoint]:
    """What mixtures gain in each group, whatever floors they miss, and how sure that is."""
    problem = groups[0].problem
    plain = [replace(group, objective=replace(group.objective, floors=())) for group in groups]
    ranges = [_intervals(group, observations, base) for group in plain]
    rows = zip(observations, gains_of(plain, observations).tolist(), strict=True)
    return [
        FrontPoint(
            Score.of(observation, problem.objective, problem.scale),
            tuple(gains),
            tuple(column[k] for column in ranges),
        )
        for k, (observation, gains) in enumerate(rows)
    ]


def _intervals(
    group: Group, observations: Sequence[Observation], base: Observation | None
) -> list[Range]:
    problem = group.problem
    if not group.tells:
        return [(0.0, 0.0)] * len(observations)
    draws = bootstrap_objective(
        observations, base, group.objective, problem.scale, seed=problem.seed
    )
    return [interval(column) for column in draws.T]
