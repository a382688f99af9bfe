"""From the best mixture to the best on a grid of shares, and what that costs.

Method:
    From the nearest mixture of the grid (total variation), one step of the grid is moved from one
    domain to another as long as that raises the predicted score, inside all limits; the steepest
    move first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixwise.decision.calibration import Calibrated
from mixwise.decision.score import Shares
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.observation import Observation
from mixwise.search.problem import Predict, mixture_of, shares_of

_MOST_MOVES = 100
_RISE = 1e-9  # of the objective, below which a move is none


@dataclass(frozen=True, slots=True)
class Rounding:
    """What shares in whole steps cost.

    Args:
        grid: The step.
        before: The mixture that would be recommended without it.
        lost: Expected score of that less the one of the recommended mixture; 0 or less where the
            grid's mixture is expected to be as good.
    """

    grid: float
    before: Shares
    lost: float


def nearest_good(score: Predict, space: MixtureSpace, before: Mixture) -> Mixture:
    """The mixture of the grid with the largest predicted score near another.

    Args:
        score: Shares ``(n, n_domains)`` → predicted scores ``(n,)``.
        space: One with a grid.
        before: Any mixture of it.
    """
    here = space.trainable(before.array)
    assert space.grid is not None, "a space without a grid has nothing to round to"
    value = float(score(here.array[None])[0])
    for _ in range(_MOST_MOVES):
        there = _neighbours(space, here, space.grid)
        values = score(np.array([mixture.shares for mixture in there] or [here.shares]))
        best = int(values.argmax())
        if not there or values[best] <= value + _RISE:
            break
        here, value = there[best], float(values[best])
    return here


def what_is_lost(
    calibrated: Calibrated, grid: float, before: Observation, after: Observation
) -> Rounding:
    """Compare a mixture with the one of the grid that is recommended in its place.

    Args:
        calibrated: The corrected proxy.
        grid: The step.
        before: The mixture, by the proxy.
        after: That of the grid, by the proxy.
    """
    missed = calibrated.missed(shares_of([before, after]))
    value = calibrated.problem.value
    lost = value(before) + float(missed[0]) - value(after) - float(missed[1])
    return Rounding(grid, mixture_of(before), lost)


def _neighbours(space: MixtureSpace, here: Mixture, grid: float) -> list[Mixture]:
    """Mixtures of the space that one step makes of this one."""
    found = []
    for i, j in np.argwhere(~np.eye(len(here.shares), dtype=bool)):
        shares = here.array
        shares[[i, j]] += [grid, -grid]
        if shares[j] >= -1e-9:
            mixture = Mixture(here.domains, tuple(shares.tolist()))
            if space.contains(mixture):
                found.append(mixture)
    return found
