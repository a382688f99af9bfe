"""Random search: low-discrepancy mixtures inside the bounds, the best of which is recommended.

Method:
    A Sobol sequence over the space (`mixwise.search.space.designs`), 40 mixtures by default.

Source:
    Bergstra and Bengio 2012 (JMLR 13) for random search as the method to compare with.
"""

from __future__ import annotations

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.problem import SearchProblem, SearchResult
from mixwise.search.space.designs import low_discrepancy

N_RANDOM = 40


def design_random(space: MixtureSpace, budget: int | None, seed: int) -> tuple[Mixture, ...]:
    """All of the budget."""
    return low_discrepancy(space, budget or N_RANDOM, seed=seed)


def search_random(problem: SearchProblem) -> SearchResult:
    """Score random mixtures and take the best."""
    scored = problem.scorer.score(design_random(problem.space, problem.budget, problem.seed))
    return SearchResult("random", problem.best(scored), scored)
