"""MergeMix: score seed points, fit one LightGBM regressor per metric, check the optimum.

Method:
    40 points by default: corners, centre, edge midpoints, low-discrepancy inside; the last of the
    budget is kept for the check. The maximum of the predicted objective inside the bounds is
    merged and scored for real; the best of all scored mixtures is recommended.

Source:
    Wang et al. 2026 (arXiv 2601.17858), section on the algorithm.

Departures:
    The paper's seed points come from a coarse grid and heuristic priors which it does not give; it
    recommends the predicted optimum even where a scored point is better.
"""

from __future__ import annotations

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.search.problem import SearchProblem, SearchResult, shares_of
from mixwise.search.space.designs import seed_points
from mixwise.search.space.optimum import maximise
from mixwise.search.surrogates.regressors import fit_trees

N_POINTS = 40


def design_mergemix(space: MixtureSpace, budget: int | None, seed: int) -> tuple[Mixture, ...]:
    """The seed points: one less than the budget.

    Raises:
        RecipeError: If the budget is too small for every corner, the centre and one check.
    """
    n_points = budget or N_POINTS
    least = len(space.domains) + 2
    if n_points < least:
        raise RecipeError(
            f"`search.budget` must be at least {least} for the method `mergemix` "
            f"(corners, centre and one check), but got {n_points}: raise it"
        )
    return seed_points(space, n_points - 1, seed=seed)


def search_mergemix(problem: SearchProblem) -> SearchResult:
    """Score seed points, fit trees, check their optimum.

    Raises:
        RecipeError: As `design_mergemix`.
    """
    scored = problem.scorer.score(design_mergemix(problem.space, problem.budget, problem.seed))
    surrogate = fit_trees(shares_of(scored), problem.metric_values(scored), seed=problem.seed)
    optimum = maximise(problem.objective_of(surrogate), problem.space, seed=problem.seed)
    scored += problem.scorer.score([optimum])
    best = problem.best(scored)
    return SearchResult("mergemix", best, scored, problem.predicted(surrogate, best))
