from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mixwise.decision.next_reference import choose_next


def test_two_candidates_by_hand() -> None:
    """One is known, one is not: E max(0, μ + s z) − max(0, μ) in closed form."""
    mu, s, noise = -0.2, 0.5, 0.3
    worth = choose_next(np.array([0.0, mu]), np.diag([0.0, s**2]), noise)
    moved = s**2 / np.hypot(s, noise)
    expected = mu * norm.cdf(mu / moved) + moved * norm.pdf(mu / moved)
    assert worth.index == 1
    assert worth.gain == pytest.approx(expected, rel=0.02)


def test_what_moves_all_alike_is_worth_nothing() -> None:
    worth = choose_next(np.array([0.0, 0.1, 0.05]), np.full((3, 3), 0.4), 0.1)
    assert worth.gain == pytest.approx(0, abs=1e-12)


def test_noise_makes_training_worth_less() -> None:
    means, covariance = np.array([0.0, 0.0]), np.diag([0.1, 0.2])
    quiet, loud = (choose_next(means, covariance, noise) for noise in (0.01, 2.0))
    assert quiet.index == loud.index == 1
    assert loud.gain < quiet.gain / 2


def test_a_candidate_that_is_surely_worse_is_not_trained() -> None:
    worth = choose_next(np.array([0.0, 0.0, -9.0]), np.diag([0.1, 0.05, 1.0]), 0.1)
    assert worth.index == 0
