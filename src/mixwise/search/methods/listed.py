"""Search a list: score some of the given mixtures, half of them spread, half where it pays.

Method:
    With a budget for all of them, all are scored. Else half of the budget is spread over the list
    (each the farthest from all that are known, in total variation), and the other half goes one by
    one to the largest predicted objective (`objective_model`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import RecipeError
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.search.problem import SearchProblem, SearchResult, shares_of
from mixwise.search.surrogates.objective_model import fit_surface

NAME = "listed"


def search_listed(problem: SearchProblem, candidates: Sequence[Mixture]) -> SearchResult:
    """Score candidates from a list.

    Args:
        problem: The question; without a budget every candidate is scored.
        candidates: Different mixtures.

    Returns:
        What was scored, and the best of it.

    Raises:
        RecipeError: If no candidate lies in the space.
    """
    space = problem.space
    inside = [each for each in candidates if space.contains(each) and space.is_on_grid(each)]
    if not inside:
        raise RecipeError(
            "none of the candidates lies within the bounds: widen them or give others"
        )
    n = min(problem.budget or len(inside), len(inside))
    scored = _some(problem, inside, n) if n < len(inside) else problem.scorer.score(inside)
    return SearchResult(NAME, problem.best(scored), tuple(scored))


def _some(problem: SearchProblem, inside: Sequence[Mixture], n: int) -> list[Observation]:
    shares = np.array([candidate.shares for candidate in inside])
    rest = list(range(len(inside)))
    first = _spread(shares, shares_of(problem.known), -(-n // 2))
    scored = list(problem.scorer.score([inside[k] for k in first]))
    rest = [k for k in rest if k not in first]
    while len(scored) < n:
        values = fit_surface(problem, scored).value(shares[rest])
        best = rest.pop(int(values.argmax()))
        scored += problem.scorer.score([inside[best]])
    return scored


def _spread(shares: Array, known: Array, n: int) -> list[int]:
    """Indices of mixtures, each the farthest from all before it."""
    start = known if len(known) else shares.mean(axis=0, keepdims=True)
    gaps = np.abs(shares[:, None] - start).sum(axis=-1).min(axis=1)
    chosen: list[int] = []
    for _ in range(n):
        gaps[chosen] = -1.0
        far = int(gaps.argmax())
        chosen.append(far)
        gaps = np.minimum(gaps, np.abs(shares - shares[far]).sum(axis=1))
    return chosen
