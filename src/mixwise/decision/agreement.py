"""Figures of agreement between two answers, for many draws of the same comparison at once.

Notation:
    x, y: a metric by the proxy and by the reference, ``(n_draws, n)``.

Method:
    Spearman ρ and Kendall τ over all mixtures; top-quarter ρ over the ⌈n/4⌉ best by the reference
    (undefined below 3); mean |x − y| and mean x − y; regret@k = the best y less the best y among
    the proxy's k first, ≥ 0 (@5 is undefined below 6 mixtures). What is undefined is NaN.

Source:
    Spearman 1904; Kendall 1938 (τ_b).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

import numpy as np

from mixwise.arrays import Array

Value = TypeVar("Value")
Other = TypeVar("Other")
_LEAST_RANKED = 3
_FIVE = 5


@dataclass(frozen=True, slots=True)
class Figures(Generic[Value]):
    """Everything that is told of an agreement.

    Args:
        spearman: Rank correlation over all mixtures.
        kendall: The same as τ_b.
        top_quarter: Spearman ρ among the best quarter by the reference.
        mean_absolute_error: Of the proxy, in the metric's unit.
        bias: Mean of proxy − reference, in the metric's unit.
        regret: Reference score lost by trusting the proxy's pick, in the metric's unit.
        regret_of_five: The same by training the proxy's first five and keeping the best of them.
    """

    spearman: Value
    kendall: Value
    top_quarter: Value
    mean_absolute_error: Value
    bias: Value
    regret: Value
    regret_of_five: Value

    def map(self, change: Callable[[Value], Other]) -> Figures[Other]:
        """The same figures, each put through a function."""
        return Figures(*(change(getattr(self, field.name)) for field in fields(Figures)))


def agreement_rows(proxy: Array, reference: Array, *, sign: int) -> Figures[Array]:
    """All figures of each draw.

    Args:
        proxy: Metric by the proxy, shape ``(n_draws, n)``.
        reference: Metric by the reference, shape ``(n_draws, n)``.
        sign: +1 where larger is better, −1 where smaller is.

    Returns:
        One array ``(n_draws,)`` per figure.

    Example:
        >>> x, y = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 4.0, 3.0]])
        >>> agreement_rows(x, y, sign=1).regret.tolist()
        [1.0]
    """
    x, y = sign * proxy, sign * reference
    error = proxy - reference
    return Figures(
        spearman=spearman_rows(x, y),
        kendall=kendall_rows(x, y),
        top_quarter=_top_quarter_rows(x, y),
        mean_absolute_error=np.abs(error).mean(axis=1),
        bias=error.mean(axis=1),
        regret=_regret_rows(x, y, 1),
        regret_of_five=_regret_rows(x, y, _FIVE),
    )


def spearman_rows(x: Array, y: Array) -> Array:
    """Spearman ρ of each row of two ``(m, n)`` arrays; NaN where a row is constant."""
    from scipy.stats import rankdata  # a second to import, and `check` does without it

    ranks = [rankdata(values, axis=1) for values in (x, y)]
    centred = [r - r.mean(axis=1, keepdims=True) for r in ranks]
    scale = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    products = (centred[0] * centred[1]).sum(axis=1)
    rho = np.divide(products, scale, out=np.full(len(x), np.nan), where=scale > 1e-12)
    return np.asarray(rho)


def kendall_rows(x: Array, y: Array) -> Array:
    """Kendall τ_b of each row of two ``(m, n)`` arrays; NaN where a row is constant."""
    concordance, pairs_x, pairs_y = np.zeros((3, len(x)))
    for i in range(x.shape[1] - 1):
        dx, dy = (np.sign(v[:, i + 1 :] - v[:, i, None]).astype(np.int8) for v in (x, y))
        concordance += (dx * dy).sum(axis=1)
        pairs_x += np.count_nonzero(dx, axis=1)
        pairs_y += np.count_nonzero(dy, axis=1)
    scale = np.sqrt(pairs_x * pairs_y)
    tau = np.divide(concordance, scale, out=np.full(len(x), np.nan), where=scale > 0)
    return np.asarray(tau)


def _top_quarter_rows(x: Array, y: Array) -> Array:
    k = -(-x.shape[1] // 4)
    if k < _LEAST_RANKED:
        return np.full(len(x), np.nan)
    best = np.argsort(-y, axis=1, kind="stable")[:, :k]
    return spearman_rows(np.take_along_axis(x, best, 1), np.take_along_axis(y, best, 1))


def _regret_rows(x: Array, y: Array, k: int) -> Array:
    if k > 1 and x.shape[1] <= k:
        return np.full(len(x), np.nan)
    picked = np.argsort(-x, axis=1, kind="stable")[:, :k]
    return np.asarray(y.max(axis=1) - np.take_along_axis(y, picked, 1).max(axis=1))
