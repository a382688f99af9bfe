"""Which limits the recommended mixture lies against, and what loosening each would gain.

Notation:
    λ: the mixture.  d: slopes of the expected score from λ towards each corner, eᵢ − λ.
    aₖ: outward direction of a bound or limit that λ lies on.  y: what loosening it gains.

Method:
    At a best mixture d = μ1 + Σ yₖaₖ with y ≥ 0 (Karush, Kuhn and Tucker): y is how fast the score
    rises with the limit. It is found by non-negative least squares, so that for a mixture which is
    not quite the best it is the nearest that limits alone explain. Shares that are 0 take part and
    are no limits of the user's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mixwise.arrays import Array
from mixwise.decision.calibration import Calibrated
from mixwise.mixture import Mixture, MixtureSpace

_ON = 1e-5  # of a limit, as shares are rounded
_STEP = 1e-3  # towards a corner


@dataclass(frozen=True, slots=True)
class Binding:
    """A bound or limit that a mixture lies on.

    Args:
        name: Of the limit; ``bounds.DOMAIN`` of a bound.
        side: Which side of it.
        end: Its value there.
        gain: Expected score that is gained for each 0.01 by which it is loosened.
    """

    name: str
    side: Literal["least", "most"]
    end: float
    gain: float


def find_binding(calibrated: Calibrated, mixture: Mixture) -> tuple[Binding, ...]:
    """The bounds and limits that a mixture lies on, those first that cost most.

    Args:
        calibrated: The corrected proxy, and its space.
        mixture: A mixture of the space.
    """
    from scipy.optimize import nnls

    space, shares = calibrated.problem.space, mixture.array
    found = _active(space, shares)
    if not found:
        return ()
    n_domains = len(shares)
    corners = np.eye(n_domains)
    points = np.concatenate([shares[None], shares + _STEP * (corners - shares)])
    values = calibrated.value(points)
    slopes = (values[1:] - values[0]) / _STEP
    zeros = [-corner for corner, share in zip(corners, shares, strict=True) if share <= _ON]
    one = np.ones(n_domains)
    columns = [one, -one, *(row for _, row in found), *zeros]
    gains = nnls(np.array(columns).T, slopes)[0][2 : 2 + len(found)]
    rows = [
        Binding(each.name, each.side, each.end, 0.01 * float(gain))
        for (each, _), gain in zip(found, gains, strict=True)
    ]
    return tuple(sorted(_one_side_each(rows), key=lambda row: -row.gain))


def _active(space: MixtureSpace, shares: Array) -> list[tuple[Binding, Array]]:
    """Bounds and limits that shares lie on, each with its outward direction."""
    found, corners = [], np.eye(len(shares))
    for i, name in enumerate(space.domains):
        if space.lower[i] > 0 and shares[i] <= space.lower[i] + _ON:
            found.append((Binding(f"bounds.{name}", "least", space.lower[i], 0.0), -corners[i]))
        if space.upper[i] < 1 and shares[i] >= space.upper[i] - _ON:
            found.append((Binding(f"bounds.{name}", "most", space.upper[i], 0.0), corners[i]))
    for limit in space.limits:
        row, value = np.asarray(limit.coefficients), float(limit.value(shares))
        near, (least, most) = _ON * limit.scale, limit.cutting
        if least is not None and value <= least + near:
            found.append((Binding(limit.name, "least", least, 0.0), -row))
        if most is not None and value >= most - near:
            found.append((Binding(limit.name, "most", most, 0.0), row))
    return found


def _one_side_each(rows: list[Binding]) -> list[Binding]:
    """Of what is fixed, the side that costs more alone."""
    by_name: dict[str, Binding] = {}
    for row in rows:
        if row.name not in by_name or row.gain > by_name[row.name].gain:
            by_name[row.name] = row
    return list(by_name.values())
