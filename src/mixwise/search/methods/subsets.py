"""Merge to Mix: score the plain average of every subset of the domains, take the best.

Notation:
    N: domains.  S: a non-empty subset; its mixture has share 1/|S| for each member.

Method:
    All 2ᴺ − 1 subsets are scored and ranked, in Gray code order, in which neighbours differ by one
    domain, so that the next merge touches one expert. Subsets that break the bounds are scored too,
    for the leaderboard, but not recommended; of equals the smallest is.
    Raced, all subsets within the bounds see growing parts of the examples and losers are dropped;
    the best of all wins with a probability of 95 %, and is alone scored in full.

Source:
    Tao, Vinken, Yeh, Cooper and Boix 2025 (arXiv 2505.16066).
"""

from __future__ import annotations

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.methods.racing import race
from mixwise.search.problem import SearchProblem, SearchResult, mixture_of

MAX_DOMAINS = 12


def subsets(domains: tuple[str, ...]) -> tuple[Mixture, ...]:
    """The plain average of every non-empty subset, in Gray code order.

    Raises:
        RecipeError: If there are more than 12 domains.

    Example:
        >>> [str(m) for m in subsets(("a", "b"))]
        ['a=1', 'a=0.5,b=0.5', 'b=1']
    """
    if len(domains) > MAX_DOMAINS:
        raise RecipeError(
            f"`search.method` `subsets` scores all 2ᴺ − 1 subsets and takes at most {MAX_DOMAINS} "
            f"domains, but there are {len(domains)}: use the method `lattice` or `mergemix`"
        )
    codes = (k ^ (k >> 1) for k in range(1, 2 ** len(domains)))
    return tuple(
        Mixture.uniform(domains, [name for i, name in enumerate(domains) if code >> i & 1])
        for code in codes
    )


def design_subsets(space: MixtureSpace, budget: int | None, seed: int) -> tuple[Mixture, ...]:
    """All subsets; the seed decides nothing.

    Raises:
        RecipeError: If there are too many domains for the method or for the budget, or no subset
            satisfies the bounds.
    """
    design = subsets(space.domains)
    if not any(space.contains(mixture) for mixture in design):
        raise RecipeError(
            "no plain average of a subset satisfies the limits of the search: widen them or "
            "use the method `lattice`"
        )
    if budget is not None and budget < len(design):
        raise RecipeError(
            f"`search.budget` must be at least {len(design)} for all subsets of "
            f"{len(space.domains)} domains, but got {budget}: raise it or use the "
            "method `lattice`"
        )
    return design


def search_subsets(problem: SearchProblem) -> SearchResult:
    """Score every subset and recommend the best one within the bounds.

    Raises:
        RecipeError: As `design_subsets`.
    """
    scored = problem.scorer.score(design_subsets(problem.space, problem.budget, problem.seed))
    small_first = sorted(scored, key=lambda o: len(mixture_of(o).support))
    return SearchResult("subsets", problem.best(small_first), scored)


def search_subsets_race(problem: SearchProblem) -> SearchResult:
    """Race the subsets within the bounds, and score those that are left in full.

    Raises:
        RecipeError: As `design_subsets`.
    """
    design = design_subsets(problem.space, problem.budget, problem.seed)
    field = [mixture for mixture in design if problem.space.contains(mixture)]
    scored = problem.scorer.score([race(problem, field).winner])
    return SearchResult("subsets-race", problem.best(scored), scored)
