"""Mirror descent on the scorer itself: shares are multiplied by exponentials of their slopes.

Notation:
    λ: best mixture.  s: slopes of the objective there.  η: step, in shares' logarithms per slope.

Method:
    λ′ = P(λ exp(η(s − sᵀλ))), P the projection in Kullback-Leibler divergence onto the bounds. A
    step that rises is kept and η grows by half; one that falls is taken back and η shrinks to a
    quarter. It ends when a step would move less than 0.2 % of the tokens.

Source:
    Kivinen and Warmuth 1997 (Inf. Comput. 132); Beck and Teboulle 2003 (Oper. Res. Lett. 31).

Departures:
    The step is searched instead of set from a Lipschitz constant that nobody knows.
"""

from __future__ import annotations

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.observation import Observation
from mixwise.scorer import SLOPES
from mixwise.search.methods.trust_region import is_taken
from mixwise.search.problem import SearchProblem, SearchResult, mixture_of
from mixwise.search.space.designs import centre_design
from mixwise.search.space.simplex import project_entropic
from mixwise.search.surrogates.objective_model import smooth_objective

N_STEPS = 30
_FIRST = 1.0  # largest change of a share's logarithm in the first step
_LARGEST = 20.0  # change of a share's logarithm in any step
_STILL = 0.002  # share of tokens
_DECIMALS = 4

design_mirror = centre_design("mirror")


def search_mirror(problem: SearchProblem) -> SearchResult:
    """Climb by multiplicative steps.

    Raises:
        RecipeError: If the budget does not allow a step from the centre; or if a metric
            comes without slopes.
    """
    scored = list(
        problem.scorer.score(design_mirror(problem.space, problem.budget, problem.seed), SLOPES)
    )
    n_steps = N_STEPS if problem.budget is None else problem.budget - 1
    best, slopes = scored[0], _slopes(problem, scored[0])
    step = _FIRST / max(float(np.abs(slopes).max()), 1e-12)
    for _ in range(n_steps):
        proposal = _step(problem.space, mixture_of(best), step * slopes)
        if proposal.distance(mixture_of(best)) < _STILL or is_taken(proposal, scored):
            break
        scored.extend(problem.scorer.score([proposal], SLOPES))
        if problem.value(scored[-1]) > problem.value(best):
            best, step = scored[-1], step * 1.5
            slopes = _slopes(problem, best)
        else:
            step /= 4
    return SearchResult("mirror", problem.best(scored), tuple(scored))


def _step(space: MixtureSpace, here: Mixture, powers: Array) -> Mixture:
    powers = powers * min(1.0, _LARGEST / max(float(np.abs(powers).max()), 1e-12))
    moved = project_entropic((here.array * np.exp(powers))[None], space)[0]
    return space.rounded(np.asarray(moved / moved.sum()), _DECIMALS)


def _slopes(problem: SearchProblem, observation: Observation) -> Array:
    """Slopes of the objective, less their mean by the shares, ``(n_domains,)``."""
    rows = [observation.measurement(metric.name) for metric in problem.objective.metrics]
    found = [row.derivatives.slopes for row in rows if row.derivatives is not None]
    if len(found) < len(rows):
        missing = ", ".join(f"`{row.metric}`" for row in rows if row.derivatives is None)
        raise RecipeError(
            f"`search.method` `mirror` needs slopes of every metric of the objective, but there "
            f"are none of {missing}: use the method `bayes`"
        )
    values = np.array([[row.value for row in rows]])
    here = mixture_of(observation).array
    steep = smooth_objective(problem, values, np.array([found]))[1]
    slopes = problem.pulled_slopes(steep, here[None])[0]
    return np.asarray(slopes - slopes @ here)
