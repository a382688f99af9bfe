from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mixwise.arrays import Array
from mixwise.swarm.surface import SwarmSurface, Units


@dataclass
class Posterior:
    """A surrogate with this mean and covariance, whatever the shares."""

    mean: Array
    covariance: Array

    def joint(self, shares: Array) -> tuple[Array, Array]:
        return self.mean, self.covariance


def draws(covariance: Array, n: int = 4000) -> Array:
    model: Any = Posterior(np.arange(float(len(covariance))), covariance)
    units = Units(np.ones(1), np.zeros(1), np.ones(1))
    surface = SwarmSurface((model,), units, np.eye(1), 1.0)
    return surface.draws(np.full((len(covariance), 2), 0.5), n, seed=0)


def test_draws_have_the_mean_and_covariance_of_the_posterior() -> None:
    covariance = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 0.1], [0.0, 0.1, 0.5]])
    found = draws(covariance)
    assert found.mean(axis=0) == pytest.approx([0, 1, 2], abs=0.05)
    assert np.cov(found.T) == pytest.approx(covariance, abs=0.06)


@pytest.mark.parametrize("size", [1e-12, 1e-3, 0.3, 3.0])
def test_variances_that_rounding_left_below_zero_are_no_obstacle(size: float) -> None:
    """An eigenvalue of -size beside one of 1: the draws keep what is above, to about as much."""
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    covariance = turned @ np.diag([1.0, 0.5, 0.0, -size]) @ turned.T
    found = np.cov(draws(covariance).T)
    assert np.isfinite(found).all()
    assert found == pytest.approx(covariance, abs=0.06 + 12 * size)


def test_no_variance_at_all_gives_the_mean() -> None:
    assert draws(np.zeros((3, 3)), 2) == pytest.approx(np.array([[0, 1, 2]] * 2, dtype=float))


def test_rounding_alone_gives_the_mean_nearly() -> None:
    noise = np.random.default_rng(1).normal(size=(30, 30)) * 1e-17
    found = draws(noise + noise.T, 5)
    assert found == pytest.approx(np.tile(np.arange(30.0), (5, 1)), abs=1e-6)
