"""Climb the objective by a model that is trusted near the best mixture and widened by success.

Notation:
    λ*: best scored mixture.  Δ: half-width of the trusted box around it, in shares.
    R: spread of the objective over all that is known.

Method:
    Score the start, fit the model, go to the top of the predicted objective in the box
    |λ − λ*| ≤ Δ within the bounds, score it, fit again. Δ doubles where the rise was as promised,
    and halves where it was not. Where the box promises less than 0.2 % of R, the whole space is
    looked at once more; when that promises no more either, the climb ends.

Source:
    Conn, Gould and Toint 2000 (Trust-Region Methods, ch. 6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.observation import Observation
from mixwise.scorer import Request
from mixwise.search.problem import SearchProblem, mixture_of
from mixwise.search.surrogates.objective_model import Surface

Fit = Callable[[SearchProblem, Sequence[Observation]], Surface]
N_STEPS = 15
_WIDTH = 0.25  # Δ at the start
_STILL = 0.002  # share of R below which a promise is not worth a step
_SAME = 1e-4  # share of tokens below which two mixtures are the same
_DECIMALS = 4  # of proposed shares


@dataclass(frozen=True, slots=True)
class Climb:
    """Where a climb ended.

    Args:
        scored: Everything that was scored, the start included, in order.
        surface: The last model.
    """

    scored: tuple[Observation, ...]
    surface: Surface


def follow(
    problem: SearchProblem, start: Sequence[Observation], fit: Fit, request: Request
) -> Climb:
    """Climb until nothing more is promised or the budget is spent.

    Args:
        problem: What to climb.
        start: What was scored so far; at least one observation inside the space.
        fit: Makes the model of all metrics from what was scored.
        request: What is asked of each mixture.
    """
    scored = list(start)
    n_steps = N_STEPS if problem.budget is None else problem.budget - len(scored)
    width, surface = _WIDTH, fit(problem, scored)
    for step in range(n_steps):
        proposal = _proposal(problem, surface, scored, width, seed=problem.seed + step)
        if proposal is None:
            break
        best = problem.best(scored)
        promised = _promise(surface, proposal, best)
        scored.extend(problem.scorer.score([proposal], request))
        risen = problem.value(scored[-1]) - problem.value(best)
        width = _next_width(width, risen / promised)
        surface = fit(problem, scored)
    return Climb(tuple(scored), surface)


def box(space: MixtureSpace, middle: Mixture, width: float) -> MixtureSpace:
    """The part of a space whose shares differ from a mixture's by no more than a width."""
    if space.limits:  # exactly within them, so that the smallest box is not empty
        middle = space.mixture(middle.array)
    low = np.maximum(space.lower, np.minimum(middle.array - width, space.upper))
    high = np.minimum(space.upper, np.maximum(middle.array + width, space.lower))
    return replace(space, lower=tuple(low.tolist()), upper=tuple(high.tolist()), grid=None)


def is_taken(mixture: Mixture, scored: Sequence[Observation]) -> bool:
    """Whether a mixture was scored, to 0.01 % of the tokens."""
    return any(o.mixture is not None and o.mixture.distance(mixture) < _SAME for o in scored)


def _proposal(
    problem: SearchProblem,
    surface: Surface,
    scored: Sequence[Observation],
    width: float,
    *,
    seed: int,
) -> Mixture | None:
    """The next mixture: the top of the box, or of the whole space where the box promises little."""
    best = problem.best(scored)
    least = _STILL * problem.value_range(scored)
    here = mixture_of(best)
    for space in (box(problem.space, here, width), problem.space):
        top = surface.top(space, near=here.array[None], seed=seed)
        mixture = problem.space.rounded(top, _DECIMALS)
        if _promise(surface, mixture, best) > least and not is_taken(mixture, scored):
            return mixture
    return None


def _promise(surface: Surface, proposal: Mixture, best: Observation) -> float:
    """Predicted rise over the best mixture; over its prediction, since models smooth noise."""
    there, here = surface.value(np.array([proposal.shares, mixture_of(best).shares]))
    return float(there - here)


def _next_width(width: float, kept: float) -> float:
    """Widen or narrow the box by the share of its promise that a step kept."""
    if kept < 0.25:
        return width / 2
    return min(1.0, width * 2) if kept > 0.75 else width
