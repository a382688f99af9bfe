"""Projected Newton: the exact second-order surface of every metric at the best mixture.

Notation:
    x, g, H: value, slopes and Hessian of a metric at λ*.

Method:
    Each metric is taken for x + gᵀ(λ − λ*) + ½(λ − λ*)ᵀH(λ − λ*), the objective for what they
    aggregate to, and its top within a trusted box and the bounds is scored next.

Source:
    Bertsekas 1982 (SIAM J. Control Optim. 20) for projected Newton; design section of Wang et al.
    2026 (arXiv 2601.17858): a linear merge makes every metric quadratic to second order.

Departures:
    The box and the aggregation are kept exactly, rather than projecting a free Newton step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import RecipeError
from mixwise.observation import Measurement, Observation
from mixwise.scorer import Request
from mixwise.search.methods.trust_region import follow
from mixwise.search.problem import SearchProblem, SearchResult, mixture_of
from mixwise.search.space.designs import centre_design
from mixwise.search.surrogates.objective_model import Surface

CURVATURE = Request(order=2)


@dataclass(frozen=True, slots=True, eq=False)
class TaylorModel:
    """A metric to second order around one mixture.

    Args:
        around: λ*, shape ``(n_domains,)``.
        value: x.
        slopes: g, shape ``(n_domains,)``.
        hessian: H, shape ``(n_domains, n_domains)``.
    """

    around: Array
    value: float
    slopes: Array
    hessian: Array

    def predict(self, shares: Array) -> tuple[Array, Array]:
        """Values ``(n,)`` and slopes in the shares ``(n, n_domains)``."""
        away = shares - self.around
        change = away @ self.hessian
        values = self.value + away @ self.slopes + (change * away).sum(axis=1) / 2
        return values, self.slopes + change

    def deviation(self, shares: Array) -> Array:
        """Zero: a Taylor polynomial has no uncertainty; shape ``(n,)``."""
        return np.zeros(len(shares))


design_newton = centre_design("newton")


def search_newton(problem: SearchProblem) -> SearchResult:
    """Climb by values, slopes and Hessians.

    Raises:
        RecipeError: If the budget does not allow a step from the centre; or if a metric
            comes without its Hessian.
    """
    design = design_newton(problem.space, problem.budget, problem.seed)
    climb = follow(problem, problem.scorer.score(design, CURVATURE), fit_taylor, CURVATURE)
    best = problem.best(climb.scored)
    return SearchResult(
        "newton", best, climb.scored, problem.predicted(climb.surface.metrics, best)
    )


def fit_taylor(problem: SearchProblem, observations: Sequence[Observation]) -> Surface:
    """Expand every metric around the best observation.

    Raises:
        RecipeError: If a metric comes without its Hessian.
    """
    best = problem.best(observations)
    around = mixture_of(best).array
    return Surface(
        problem,
        tuple(
            _expand(best.measurement(metric.name), around) for metric in problem.objective.metrics
        ),
    )


def _expand(measurement: Measurement, around: Array) -> TaylorModel:
    found = measurement.derivatives
    if found is None or found.hessian is None:
        raise RecipeError(
            f"`search.method` `newton` needs second derivatives of every metric of the objective, "
            f"but `{measurement.metric}` comes without: use the method `slopes` or `bayes`"
        )
    return TaylorModel(around, measurement.value, found.slopes, found.hessian)
