"""When a difference seen on some of the examples is sure enough, whenever one looks.

Notation:
    s: share of the examples seen.  τ = s/(1 − s).  D̂: difference seen.  D: on all examples.
    n_m, k_m: examples of metric m, and those seen.  V: variance of D̂ at s = 1 were examples drawn
    with replacement, Σ_m (c_m sd_m)²/n_m.  κ₃: its third cumulant.  ν: its degrees of freedom.
    α′: error rate.

Method:
    Drawing without replacement makes s(D̂ − D)/√V a Brownian bridge in s, so that
    Z = (D̂ − D) / √(V/τ) is W(τ)/√τ of a Brownian motion W. With the normal mixture boundary
    Z < √((1 + ρ/τ) ln((τ + ρ)/4ρα′²)) at all τ at once with probability 1 − α′.
    sd_m is estimated, so the boundary moves to the same tail of Student's t with ν (Welch). A long
    tail on the wrong side lowers D̂ twice: by its third cumulant (Johnson), and by the largest fall
    that one example brought, times ⅔ ln(1/α′) (Bernstein). Nothing is sure before ν reaches
    max(32, 8 ln(1/α′)), because what is rarer than one in that many has not been seen.

Source:
    Robbins 1970 (Ann. Math. Stat. 41) for the boundary; Waudby-Smith et al. 2024 (arXiv 2103.06476)
    for its asymptotic use; Welch 1947 (Biometrika 34); Johnson 1978 (JASA 73, eq. 2.6); Maurer and
    Pontil 2009 (arXiv 0907.3740) for the empirical Bernstein term.

Departures:
    The bridge stands for the sources' i.i.d. sample: bounds close as the last example is seen. The
    Bernstein term reads the range from the sample, because losses have none, and only its lower
    half. An advantage on most examples that a few unseen ones more than undo can still deceive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array

_LEAST_FREEDOM = (32.0, 8.0)  # always; and times ln(1/α′)
_LEAST_SEEN = 4  # examples of a metric
_TIGHTEST = 0.25  # τ where ρ makes the boundary tightest


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference on one metric.

    Args:
        mean: D̂.
        variance: Of the mean, were examples drawn with replacement, at the number seen.
        third: Third cumulant of the mean, likewise.
        fall: Largest fall of the mean that one example brought, ≥ 0.
        n_seen: k_m.
        n_examples: n_m.
    """

    mean: float
    variance: float
    third: float
    fall: float
    n_seen: int
    n_examples: int


@dataclass(frozen=True, slots=True, eq=False)
class RaceEvidence:
    """What is seen of one metric.

    Args:
        share: Weight of the metric in the mean objective.
        offsets: Known part of each candidate's gain, ``(n_candidates,)``.
        rest: Unknown part, by example seen, ``(n_candidates, n_seen)``.
        weights: Of the examples seen, ``(n_seen,)``, mean about 1.
        n_examples: All there are.
    """

    share: float
    offsets: Array
    rest: Array
    weights: Array
    n_examples: int

    @property
    def is_complete(self) -> bool:
        """Whether all examples are seen."""
        return self.rest.shape[1] == self.n_examples

    def means(self) -> Array:
        """Gain of each candidate as far as it is seen, ``(n_candidates,)``."""
        return np.asarray(self.offsets + np.average(self.rest, axis=1, weights=self.weights))

    def difference(self, row: int, other: int, scale: float) -> Contrast:
        """One candidate's gain less another's, pair by pair, times a scale."""
        offset = float(self.offsets[row] - self.offsets[other])
        return self._contrast(self.rest[row] - self.rest[other], offset, scale)

    def alone(self, row: int, scale: float) -> Contrast:
        """One candidate's gain, times a scale."""
        return self._contrast(self.rest[row], float(self.offsets[row]), scale)

    def _contrast(self, rest: Array, offset: float, scale: float) -> Contrast:
        n = len(rest)
        mean = float(np.average(rest, weights=self.weights))
        left = self.weights / self.weights.mean() * (rest - mean)
        return Contrast(
            scale * (mean + offset),
            scale**2 * float(left @ left) / (max(1, n - 1) * n),
            scale**3 * float((left**3).sum()) / n**3,
            float(np.maximum(-scale * left, 0).max()) / n,
            n,
            self.n_examples,
        )


def boundary(tau: float, level: float) -> float:
    """Z that a Brownian motion W(τ)/√τ stays below for ever with probability 1 − level.

    Args:
        tau: τ > 0.
        level: α′, in (0, 0.5).

    Example:
        >>> round(boundary(0.25, 0.025), 2)
        3.04
    """
    wide = 2 * np.log(1 / (2 * level))
    rho = _TIGHTEST / (wide + np.log1p(wide))
    return float(np.sqrt((1 + rho / tau) * np.log((tau + rho) / (4 * rho * level**2))))


def exceeds(terms: Sequence[Contrast], level: float) -> bool:
    """Whether the sum of some contrasts is above zero for sure.

    Args:
        terms: Independent contrasts.
        level: α′, the probability of ever being wrong.
    """
    from scipy.special import ndtr, stdtrit  # half a second to import; `status` does without

    mean = sum(term.mean for term in terms)
    share = min(term.n_seen / term.n_examples for term in terms)
    if mean <= 0 or share == 1:
        return mean > 0
    variance = sum(term.variance for term in terms)
    freedom = _freedom(terms, variance)
    if freedom < max(_LEAST_FREEDOM[0], _LEAST_FREEDOM[1] * np.log(1 / level)):
        return False
    if min(term.n_seen for term in terms) < _LEAST_SEEN:
        return False
    left = variance * (1 - share)
    if left <= 0:
        return True
    tail = float(ndtr(-boundary(share / (1 - share), level)))
    limit = -float(stdtrit(freedom, tail))
    sure = mean - _tail_penalty(terms, limit, left, share, level)
    return bool(sure > limit * np.sqrt(left))


def _tail_penalty(
    terms: Sequence[Contrast], limit: float, left: float, share: float, level: float
) -> float:
    """What a long lower tail takes off a mean that is at its limit, ≥ 0."""
    third = sum(term.third for term in terms) * (1 - share) * max(0.0, 1 - 2 * share)
    skewed = max(0.0, -third) / left * (1 / 6 + limit**2 / 3)
    fall = max(term.fall for term in terms) * (1 - share)
    return skewed + fall * float(np.log(1 / level)) * 2 / 3


def _freedom(terms: Sequence[Contrast], variance: float) -> float:
    parts = sum(term.variance**2 / max(1, term.n_seen - 1) for term in terms)
    return variance**2 / parts if parts > 0 else float(sum(term.n_seen - 1 for term in terms))
