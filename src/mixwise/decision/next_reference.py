"""Which mixture to train next for real: the one that is expected to cut the regret most.

Notation:
    λ₁ … λₙ: candidates.  m, C: expected score of each and posterior covariance.  x: a mixture
    to train, one of them.  s²: variance of what would be read there, noise included.

Method:
    Training x would move all expectations along one line: m + σ̃(x) z, σ̃ = C[:, x] / s, z ~ N(0, 1).
    Its worth is the knowledge gradient E_z[max (m + σ̃ z)] − max m: by so much the regret of the
    mixture that would be chosen afterwards is expected to fall. Every run costs the same tokens, so
    the largest worth is the largest per token. The expectation is taken at fixed quantiles of z.

Source:
    Frazier, Powell & Dayanik 2009 (INFORMS J. Computing 21:4), correlated knowledge gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array

_N_QUANTILES = 64


@dataclass(frozen=True, slots=True)
class Worth:
    """The best candidate to train.

    Args:
        index: Which candidate.
        gain: Regret that training it is expected to save, in the score's unit.
    """

    index: int
    gain: float


def choose_next(means: Array, covariance: Array, noise: float) -> Worth:
    """Choose the candidate whose training is worth most.

    Args:
        means: m, shape ``(n,)``; larger is better.
        covariance: C, shape ``(n, n)``.
        noise: Standard deviation of what a run adds to a candidate's score.

    Example:
        >>> worth = choose_next(np.array([0.0, 0.1]), np.diag([1.0, 0.0]), 0.1)
        >>> worth.index
        0
    """
    from scipy.special import ndtri  # half a second to import, and `status` does without

    quantiles = ndtri((np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0) + noise**2)
    moves = covariance / np.where(spread > 0, spread, 1)[None]
    gains = [
        float((means[:, None] + move[:, None] * quantiles).max(axis=0).mean()) - float(means.max())
        for move in moves.T
    ]
    best = int(np.argmax(gains))
    return Worth(best, max(gains[best], 0.0))
