"""Shares in whole steps: the mixture of a grid that is nearest to a point of a region.

Notation:
    g: step; 1/g is whole.  n: whole numbers of steps, ``(n_domains,)``, sum 1/g.

Method:
    Largest remainders give the nearest point of the whole simplex (total variation). Where that
    breaks a bound or a limit, an integer program finds the nearest that does not:
    min Σ|gn − x| over the n within them (branch and bound, HiGHS).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.errors import ResourceError
from mixwise.polytope.region import TOLERANCE, Region

_NEAR = 1e-9  # of a whole number
_SOLVED, _INFEASIBLE = 0, 2  # status of scipy's answers


def nearest_on_grid(point: Array, region: Region, grid: float) -> Array | None:
    """The nearest shares in whole steps.

    Args:
        point: Shares that add up to 1, ``(n_domains,)``.
        region: Where the answer must lie.
        grid: g.

    Returns:
        Shares, or None where no point of the grid lies in the region.
    """
    n_steps = round(1 / grid)
    wanted = point * n_steps
    steps = np.floor(wanted + _NEAR)
    rest = np.argsort(-(wanted - steps), kind="stable")[: n_steps - int(steps.sum())]
    steps[rest] += 1
    shares = steps / n_steps
    is_within = (shares >= region.lower - TOLERANCE) & (shares <= region.upper + TOLERANCE)
    if is_within.all() and region.holds(shares[None])[0]:
        return np.asarray(shares)
    return _by_program(wanted, region, n_steps)


def has_point(region: Region, grid: float) -> bool:
    """Whether any shares in whole steps lie in a region."""
    return _by_program(np.zeros(len(region.lower)), region, round(1 / grid)) is not None


def _by_program(wanted: Array, region: Region, n_steps: int) -> Array | None:
    """Minimise Σ(p + q) over whole n with n − wanted = p − q, all three ≥ 0."""
    from scipy.optimize import Bounds, LinearConstraint

    n = len(wanted)
    low = np.ceil((region.lower - TOLERANCE) * n_steps)
    high = np.floor((region.upper + TOLERANCE) * n_steps)
    if (low > high).any():
        return None
    of_steps = np.concatenate([np.ones((1, n)), region.rows])
    rows = np.concatenate([of_steps, np.zeros((len(of_steps), 2 * n))], axis=1)
    away = np.concatenate([np.eye(n), -np.eye(n), np.eye(n)], axis=1)
    done = _solve(
        np.concatenate([np.zeros(n), np.ones(2 * n)]),
        np.repeat([1, 0, 0], n),
        Bounds(
            np.concatenate([low, np.zeros(2 * n)]), np.concatenate([high, np.full(2 * n, np.inf)])
        ),
        [
            LinearConstraint(
                rows,
                np.append(1.0, region.least - TOLERANCE / 2) * n_steps,
                np.append(1.0, region.most + TOLERANCE / 2) * n_steps,
            ),
            LinearConstraint(away, wanted, wanted),
        ],
    )
    return None if done is None else np.asarray(done[:n].round() / n_steps)


def _solve(
    cost: Array, integrality: npt.NDArray[np.int64], bounds: Any, constraints: list[Any]
) -> Array | None:
    """An integer program's answer, or None where it has none.

    HiGHS may end in an error of its own; it is asked once more then, without its presolve.
    """
    from scipy.optimize import milp

    for presolve in (True, False):
        done = milp(
            cost,
            integrality=integrality,
            bounds=bounds,
            constraints=constraints,
            options={"presolve": presolve},
        )
        if done.status in (_SOLVED, _INFEASIBLE):
            return None if done.status == _INFEASIBLE else np.asarray(done.x)
    raise ResourceError(
        f"the nearest mixture on the grid was not found ({done.message}): take a coarser grid or "
        "another release of scipy"
    )
