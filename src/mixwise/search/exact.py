"""The exact top of an objective whose candidates are arithmetic, and how far off a mixture may be.

Notation:
    J(λ), ∇J: objective and its slopes in the shares.  v: extreme points of the space.

Method:
    Spectral projected gradient on the scorer itself, from the best mixture that is known. The gap

        max_v ∇J(λ)ᵀ (v − λ)

    is 0 at a top. Where J is concave, as for the averaged predictions of one length, no mixture is
    better than λ by more than the gap; where scores are continued it says that slopes lead no
    higher near λ.

Source:
    Birgin, Martínez and Raydan 2000 (SIAM J. Optim. 10); Jaggi 2013 (ICML 28) for the gap; Thudi et
    al. 2025 (arXiv 2502.10510): mixing predictions is convex.
"""

from __future__ import annotations

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.observation import Observation
from mixwise.polytope.programs import farthest
from mixwise.scorer import SLOPES
from mixwise.search.problem import SearchProblem, mixture_of
from mixwise.search.space.simplex import climb
from mixwise.search.surrogates.objective_model import smooth_objective

_N_STEPS = 60
_DECIMALS = 4  # of the shares of the top


def ascend(problem: SearchProblem, start: Observation) -> Observation:
    """The top that slopes lead to.

    Args:
        problem: Its scorer gives slopes of every metric of the objective, and costs no pass.
        start: Where to begin; it is kept where nothing higher is found.
    """

    def ascent(shares: Array) -> tuple[Array, Array]:
        mixtures = [Mixture(problem.space.domains, tuple(row)) for row in shares.tolist()]
        found = problem.scorer.score(mixtures, SLOPES)
        values, slopes = zip(*(_objective(problem, one) for one in found), strict=True)
        return np.array(values), np.array(slopes)

    here = mixture_of(start).array[None]
    top = climb(ascent, problem.space, here, n_steps=_N_STEPS)[0]
    [found] = problem.scorer.score([problem.space.rounded(top, _DECIMALS)], SLOPES)
    return problem.best([start, found])


def find_gap(problem: SearchProblem, observation: Observation) -> float | None:
    """The gap at a mixture, in units of the objective; None where a metric has no slopes.

    Args:
        problem: Where better mixtures are looked for.
        observation: The mixture, as it was scored.
    """
    measured = [observation.measurement(metric.name) for metric in problem.objective.metrics]
    if any(one.derivatives is None for one in measured):
        return None
    _, slopes = _objective(problem, observation)
    there = _farthest(problem.space, slopes)
    return max(0.0, float(slopes @ (there - mixture_of(observation).array)))


def _objective(problem: SearchProblem, observation: Observation) -> tuple[float, Array]:
    """J and its slopes, ``(n_domains,)``, where a mixture was scored."""
    measured = [observation.measurement(metric.name) for metric in problem.objective.metrics]
    slopes = [one.derivatives.slopes for one in measured if one.derivatives is not None]
    values = np.array([[one.value for one in measured]])
    height, ascent = smooth_objective(problem, values, np.array([slopes]))
    shares = mixture_of(observation).array[None]
    return float(problem.pulled(height, shares)[0]), problem.pulled_slopes(ascent, shares)[0]


def _farthest(space: MixtureSpace, slopes: Array) -> Array:
    """The extreme point where a linear function is largest.

    Within bounds alone the steepest domains are filled first; limits need a linear program.
    """
    if space.limits:
        return farthest(space.region, slopes[None])[0]
    low, high = np.asarray(space.lower), np.asarray(space.upper)
    point, order = low.copy(), np.argsort(-slopes, kind="stable")
    left = 1 - np.concatenate([[0.0], np.cumsum((high - low)[order])[:-1]]) - low.sum()
    point[order] += np.clip(left, 0, (high - low)[order])
    return np.asarray(point)
