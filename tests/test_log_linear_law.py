from __future__ import annotations

import numpy as np
import pytest
from benchmarks.log_linear_law import descend, fit_law, huber
from scipy.optimize import least_squares

RNG = np.random.default_rng(3)
SHARES = RNG.dirichlet(np.ones(3), 24)
NEW = RNG.dirichlet(np.ones(3), 8)


def test_a_law_without_noise_is_found_from_its_runs() -> None:
    def law(shares: np.ndarray) -> np.ndarray:
        return np.stack([1.5 + np.exp(shares @ [-1.0, 0.3, 0.8]), np.exp(shares @ [1, 0, 0.5])], 1)

    np.testing.assert_allclose(fit_law(SHARES, law(SHARES))(NEW), law(NEW), atol=1e-3)


def test_the_loss_is_as_low_as_that_of_a_general_solver() -> None:
    values = 2 + np.exp(SHARES @ [-2.0, 1.0, 0.2]) + 0.05 * RNG.standard_normal(24)
    start = np.array([-0.25, 0.1, 0.05, 0.0])
    _, losses = descend(start[None], SHARES, values[None])
    found = least_squares(
        lambda x: np.exp(x[0]) + np.exp(SHARES @ x[1:]) - values, start, loss="huber", f_scale=0.02
    )
    assert losses[0] == pytest.approx(found.cost / 24, rel=1e-4)


def test_the_loss_is_a_square_up_to_its_turn_and_a_size_beyond() -> None:
    np.testing.assert_allclose(huber(np.array([[0.01], [0.02], [-1.0]])), [5e-5, 2e-4, 0.0198])


def test_a_domain_that_no_run_holds_stays_near_the_start() -> None:
    shares = np.concatenate([SHARES, np.zeros((24, 1))], axis=1)
    values = np.exp(shares @ [0.5, 1.0, 0.2, 0.0])[:, None]
    alone = fit_law(shares, values)(np.eye(4)[3:])
    assert 0 < alone.item() < 10
