"""The {N, 2} simplex lattice with a quadratic surrogate.

Notation:
    N: domains.  n₀ = N(N+1)/2: points of the lattice, and coefficients of the quadratic.

Method:
    Score the lattice, fit the quadratic to each metric of the objective, go to the maximum of the
    predicted objective inside the bounds and score it for real. The new point joins the fit and the
    step is repeated, three times by default, until the maximum stands still.

Source:
    Scheffé 1958. The second-order theory of Wang et al. 2026 (arXiv 2601.17858) makes a metric of a
    linear merge quadratic in λ wherever it is quadratic in the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.observation import Observation
from mixwise.search.problem import SearchProblem, SearchResult, shares_of
from mixwise.search.space.designs import lattice
from mixwise.search.space.optimum import maximise
from mixwise.search.surrogates.regressors import fit_quadratic

N_CHECKS = 3
_STANDS_STILL = 0.005  # share of tokens


def design_lattice(space: MixtureSpace, budget: int | None, seed: int) -> tuple[Mixture, ...]:
    """The lattice; the seed decides nothing.

    Raises:
        RecipeError: If the budget does not allow the lattice and one check.
    """
    design = lattice(space)
    if budget is not None and budget < len(design) + 1:
        raise RecipeError(
            f"`search.budget` must be at least {len(design) + 1} for the lattice of "
            f"{len(space.domains)} domains and one check, but got {budget}: raise it"
        )
    return design


def search_lattice(problem: SearchProblem) -> SearchResult:
    """Score the lattice, then follow the quadratic's maximum.

    Raises:
        RecipeError: As `design_lattice`.
    """
    design = design_lattice(problem.space, problem.budget, problem.seed)
    n_checks = N_CHECKS if problem.budget is None else problem.budget - len(design)
    scored = list(problem.scorer.score(design))
    surrogate = fit_quadratic(shares_of(scored), problem.metric_values(scored))
    for _ in range(n_checks):
        optimum = maximise(problem.objective_of(surrogate), problem.space, seed=problem.seed)
        if _stands_still(optimum, scored):
            break
        scored.extend(problem.scorer.score([optimum]))
        surrogate = fit_quadratic(shares_of(scored), problem.metric_values(scored))
    best = problem.best(scored)
    return SearchResult("lattice", best, tuple(scored), problem.predicted(surrogate, best))


def _stands_still(optimum: Mixture, scored: Sequence[Observation]) -> bool:
    return any(
        o.mixture is not None and o.mixture.distance(optimum) < _STANDS_STILL for o in scored
    )
