"""Search by slopes: few mixtures, each with its value and the slopes in all shares.

Method:
    From the centre, climb with a Gaussian process per metric that reads values and slopes of all
    scored points, and the values of what was known before. Slopes cost three forward passes
    whatever the number of domains; two to four mixtures are usually enough.
    If a mixture that was known before is still better than all of them, the climb goes on from it.
    Where candidates are arithmetic it ends at the exact top that slopes lead to (`search.exact`).
    Where a metric turns out to have no slopes, the search goes on as `bayes`.

Source:
    Solak et al. 2003 (NeurIPS 15) for Gaussian processes with slopes.
"""

from __future__ import annotations

from collections.abc import Sequence

from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.scorer import SLOPES
from mixwise.search.exact import ascend
from mixwise.search.methods.bayes import continue_bayes
from mixwise.search.methods.trust_region import follow
from mixwise.search.problem import SearchProblem, SearchResult, mixture_of
from mixwise.search.space.designs import centre_design
from mixwise.search.surrogates.objective_model import fit_surface, has_slopes

design_slopes = centre_design("slopes")


def search_slopes(problem: SearchProblem) -> SearchResult:
    """Follow the slopes to the best mixture.

    Raises:
        RecipeError: If the budget does not allow a step from the centre.
    """
    start = problem.scorer.score(design_slopes(problem.space, problem.budget, problem.seed), SLOPES)
    if not all(has_slopes(start, metric.name) for metric in problem.objective.metrics):
        return continue_bayes(problem, start)
    climb = follow(problem, start, fit_surface, SLOPES)
    missed = _missed(problem, climb.scored)
    if missed is not None:
        again = (*climb.scored, *problem.scorer.score([missed], SLOPES))
        climb = follow(problem, again, fit_surface, SLOPES)
    best, scored = problem.best(climb.scored), climb.scored
    if problem.is_arithmetic:
        best = ascend(problem, best)
        scored = (*scored, best) if best not in scored else scored
    predicted = problem.predicted(climb.surface.metrics, best)
    return SearchResult("slopes", best, scored, predicted)


def _missed(problem: SearchProblem, scored: Sequence[Observation]) -> Mixture | None:
    """A mixture that was known before, lies inside and is better than all that was scored."""
    best = problem.best(scored)
    leader = problem.best([best, *problem.known])
    has_room = problem.budget is None or len(scored) < problem.budget
    return None if leader is best or not has_room else mixture_of(leader)
