"""Acquisition under noise, for metrics that jump: noisy expected improvement.

Notation:
    J(λ): posterior of the objective.  J*: its largest mean over the scored mixtures.
    R: spread of the objective over all that is known.  N: domains.

Method:
    Score the centre and the extreme points, with slopes where any metric or its companion has them.
    Then score where E[max(J(λ) − J*, 0)] is largest, over random mixtures, mixtures near the best
    ones and the top of the mean, until it is less than 0.05 % of R. Without slopes it goes on for N
    steps whatever is expected, as a posterior fitted to few values is too narrow. J* is a mean
    and not a score, because the best score is biased upward by noise; how noisy a metric is, is
    fitted, and bounded by the variance of its mean over the examples.

Source:
    Picheny, Wagner and Ginsbourger 2013 (Struct. Multidisc. Optim. 48): plug-in expected
    improvement under noise.

Departures:
    Metrics are taken as independent given the mixture; the expectation is over 128 draws, the same
    for all candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.observation import Observation
from mixwise.scorer import SLOPES, VALUES
from mixwise.search.methods.trust_region import is_taken
from mixwise.search.problem import (
    SearchProblem,
    SearchResult,
    distinct,
    mixture_of,
    require_budget,
    shares_of,
)
from mixwise.search.space.designs import centre
from mixwise.search.space.simplex import project, sample
from mixwise.search.space.vertices import extreme_points
from mixwise.search.surrogates.objective_model import Surface, fit_surface

N_STEPS = 24
_STILL = 0.0005  # share of R
_N_DRAWS = 128
_N_CANDIDATES = 768
_NEAR = (0.02, 0.1)  # share of the tokens by which candidates differ from the best mixtures
_DECIMALS = 3


def design_bayes(space: MixtureSpace, budget: int | None, seed: int) -> tuple[Mixture, ...]:
    """The centre and the extreme points, at most one per domain.

    Raises:
        RecipeError: If the budget does not allow them and a step.
    """
    n_domains = len(space.domains)
    corners = extreme_points(space, n_domains, seed=seed)[:n_domains]
    design = distinct([centre(space), *(Mixture(space.domains, tuple(c)) for c in corners)])
    require_budget(
        budget, len(design) + 1, "the centre, the extreme points and one step of `bayes`"
    )
    return design


def search_bayes(problem: SearchProblem) -> SearchResult:
    """Score where the most improvement is expected.

    Raises:
        RecipeError: As `design_bayes`.
    """
    design = design_bayes(problem.space, problem.budget, problem.seed)
    return continue_bayes(problem, problem.scorer.score(design[:1], SLOPES))


def continue_bayes(problem: SearchProblem, scored: Sequence[Observation]) -> SearchResult:
    """Go on from mixtures that were scored with slopes where there are any.

    Args:
        problem: What to search.
        scored: At least the centre.

    Raises:
        RecipeError: As `design_bayes`.
    """
    request = SLOPES if _any_slopes(scored) else VALUES
    design = design_bayes(problem.space, problem.budget, problem.seed)
    rest = [mixture for mixture in design if not is_taken(mixture, scored)]
    seen = [*scored, *(problem.scorer.score(rest, VALUES) if rest else ())]
    n_steps = N_STEPS if problem.budget is None else problem.budget - len(seen)
    surface = fit_surface(problem, seen)
    n_sure = 0 if request == SLOPES else len(problem.space.domains)
    for step in range(n_steps):
        least = 0.0 if step < n_sure else _STILL * problem.value_range(seen)
        proposal = _proposal(problem, surface, seen, least, seed=problem.seed + step)
        if proposal is None:
            break
        seen.extend(problem.scorer.score([proposal], request))
        surface = fit_surface(problem, seen)
    best = problem.best(seen)
    return SearchResult("bayes", best, tuple(seen), problem.predicted(surface.metrics, best))


def expected_improvement(surface: Surface, points: Array, best: float, *, seed: int) -> Array:
    """E[max(J − best, 0)] at each point.

    Args:
        surface: The posterior.
        points: Shares, ``(n, n_domains)``.
        best: J*.
        seed: Decides the draws.
    """
    draws = surface.draws(points, _N_DRAWS, seed=seed)
    return np.asarray(np.maximum(draws - best, 0).mean(axis=0))


def _any_slopes(scored: Sequence[Observation]) -> bool:
    return any(m.derivatives is not None for o in scored for m in o.measurements)


def _proposal(
    problem: SearchProblem,
    surface: Surface,
    scored: Sequence[Observation],
    least: float,
    *,
    seed: int,
) -> Mixture | None:
    """The candidate with the largest expected improvement, or None where none exceeds the least."""
    space = problem.space
    means = surface.value(shares_of(scored))
    inside = np.array([space.contains(mixture_of(o)) for o in scored])
    leaders = shares_of(scored)[np.argsort(-np.where(inside, means, -np.inf))[:3]]
    top = surface.top(space, near=leaders, seed=seed)
    points = np.concatenate([top[None], _candidates(space, np.array([top, *leaders]), seed=seed)])
    gains = expected_improvement(surface, points, float(means[inside].max()), seed=seed)
    for index in np.argsort(-gains, kind="stable"):
        mixture = space.rounded(points[index], _DECIMALS)
        if gains[index] <= least:
            return None
        if not is_taken(mixture, scored):
            return mixture
    return None


def _candidates(space: MixtureSpace, leaders: Array, *, seed: int) -> Array:
    """Random mixtures, and mixtures near the leaders."""
    rng = np.random.default_rng(seed)
    anywhere = sample(space, _N_CANDIDATES, seed=seed)
    centres = leaders[rng.integers(len(leaders), size=_N_CANDIDATES)]
    shift = rng.standard_normal(centres.shape)
    shift *= rng.choice(_NEAR, (len(centres), 1)) / np.abs(shift).sum(axis=1, keepdims=True) * 2
    return np.concatenate([anywhere, project(centres + shift, space)])
