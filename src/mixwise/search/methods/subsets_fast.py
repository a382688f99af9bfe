"""The best subset without scoring every one: best bound first, until no bound is above the best.

Notation:
    S: subset, its mixture the plain average.  J(S): objective.  U(S): upper bound on J(S).

Method:
    All subsets lie on one smooth surface over the simplex, so that the few that are scored predict
    the rest. Start from the largest subset and a few others with slopes; then score, again and
    again, the subset with the largest U: the 97.5 % quantile of the objective under a Gaussian
    process per metric. When no unscored subset has U above the best score, the search ends: branch
    and bound with leaves for branches, and bounds that hold as far as the model does.

Source:
    Cox and John 1997 (SDO, in Multidisciplinary Design Optimization) for upper bounds of a Gaussian
    process; Tao et al. 2025 (arXiv 2505.16066) for the subsets.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.scorer import SLOPES, VALUES
from mixwise.search.problem import (
    SearchProblem,
    SearchResult,
    mixture_of,
    require_budget,
)
from mixwise.search.surrogates.objective_model import Surface, fit_surface

MAX_DOMAINS = 16
MOST_CHECKS = 200  # a fifth of the subsets of ten domains
_N_DRAWS = 200
_QUANTILE = 0.975


def design_subsets_fast(space: MixtureSpace, budget: int | None, seed: int) -> tuple[Mixture, ...]:
    """The largest subset within the bounds; the seed decides nothing.

    Raises:
        RecipeError: If there are too many domains, no subset satisfies the bounds, or the budget
            does not allow a step.
    """
    require_budget(budget, 2, "the first subset and one step of the method `subsets-fast`")
    return (_inside(space)[-1],)


def search_subsets_fast(problem: SearchProblem) -> SearchResult:
    """Score subsets by their upper bound.

    Raises:
        RecipeError: As `design_subsets_fast`.
    """
    subsets = _inside(problem.space)
    n_domains = len(problem.space.domains)
    design = design_subsets_fast(problem.space, problem.budget, problem.seed)
    scored = list(problem.scorer.score(design, SLOPES))
    most = problem.budget or 1 + MOST_CHECKS
    shares = np.array([mixture.shares for mixture in subsets])
    surface = fit_surface(problem, scored)
    while len(scored) < min(most, len(subsets)):
        taken = {str(mixture_of(o)) for o in scored}
        bounds = _upper_bounds(surface, shares, seed=problem.seed)
        bounds[[str(mixture) in taken for mixture in subsets]] = -np.inf
        best = int(bounds.argmax())
        if bounds[best] <= problem.value(problem.best(scored)):
            break
        request = SLOPES if len(scored) < 2 + n_domains // 2 else VALUES
        scored.extend(problem.scorer.score([subsets[best]], request))
        surface = fit_surface(problem, scored)
    found = problem.best(scored)
    predicted = problem.predicted(surface.metrics, found)
    return SearchResult("subsets-fast", found, tuple(scored), predicted)


def _inside(space: MixtureSpace) -> list[Mixture]:
    """The subsets within the bounds, small ones first."""
    n_domains = len(space.domains)
    if n_domains > MAX_DOMAINS:
        raise RecipeError(
            f"`search.method` `subsets-fast` bounds all 2ᴺ − 1 subsets and takes at most "
            f"{MAX_DOMAINS} domains, but there are {n_domains}: use the method `auto`"
        )
    every = (
        Mixture.uniform(space.domains, members)
        for size in range(1, n_domains + 1)
        for members in combinations(space.domains, size)
    )
    found = [mixture for mixture in every if space.contains(mixture)]
    if not found:
        raise RecipeError(
            "no plain average of a subset satisfies the limits of the search: widen them or use "
            "the method `auto`"
        )
    return found


def _upper_bounds(surface: Surface, shares: Array, *, seed: int) -> Array:
    draws = surface.draws(shares, _N_DRAWS, seed=seed)
    return np.asarray(np.quantile(draws, _QUANTILE, axis=0))
