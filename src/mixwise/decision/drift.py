"""Does the answer move with the horizon? The best mixture at points of the experts' runs.

Notation:
    λ*(h): the best mixture by the proxy at h steps.  T: steps of the final run.
    J_T: the objective as it is continued to T.

Method:
    What matters of a move is what it costs: J_T(λ*(T)) − J_T(λ*(h)), the regret at T of the answer
    at h, if the continued scores are right. Where the answer at the end of the experts' runs loses
    no more than a twentieth of the spread between experts, it has settled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixwise.mixture import Mixture
from mixwise.search.problem import Predict, SearchProblem
from mixwise.search.space.optimum import maximise

_SETTLED = 0.05  # units of the objective


@dataclass(frozen=True, slots=True)
class BestAt:
    """The best mixture at a point of the experts' runs.

    Args:
        steps: The point.
        mixture: λ*(h).
        behind: What it loses at T, in units of the objective.
    """

    steps: int
    mixture: Mixture
    behind: float


def best_along(
    problem: SearchProblem, final: Predict, earlier: Mapping[int, Predict]
) -> tuple[BestAt, ...]:
    """The best mixture at each point, and what it loses at the final horizon.

    Args:
        problem: What was searched, at the final horizon.
        final: J_T of shares, ``(n, n_domains)`` → ``(n,)``.
        earlier: The objective at each point, by its steps.
    """
    best = maximise(final, problem.space, seed=problem.seed)
    found = []
    for steps, value in earlier.items():
        mixture = maximise(value, problem.space, seed=problem.seed)
        lost = final(best.array[None])[0] - final(mixture.array[None])[0]
        found.append(BestAt(steps, mixture, max(float(lost), 0.0)))
    return tuple(found)


def has_settled(path: Sequence[BestAt]) -> bool:
    """Whether the answer at the last point is as good at the final horizon as the one there."""
    return not path or path[-1].behind <= _SETTLED
