from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixwise.arrays import Array
from mixwise.diagnostics.interference import (
    Interactions,
    noise_of_runs,
    predict_error,
    predict_linear,
    predict_pair_errors,
)

DIMENSION = 4
DOMAINS = ("a", "b", "c")


class Bowls:
    """Domains whose losses are bowls ½ (θ − c)ᵀ A (θ − c), all trained from θ = 0."""

    def __init__(self, seed: int, n: int = 3) -> None:
        rng = np.random.default_rng(seed)
        roots = rng.normal(size=(n, DIMENSION, DIMENSION))
        self.hessians = roots @ roots.transpose(0, 2, 1)
        self.gradients = rng.normal(size=(n, DIMENSION))
        self.optimiser = np.diag(rng.uniform(0.2, 2, DIMENSION))  # P

    def train(self, shares: Array, rate: float, steps: int) -> Array:
        """Gradient descent on the mixture, step by step."""
        theta = np.zeros(DIMENSION)
        gradient = np.tensordot(shares, self.gradients, 1)
        hessian = np.tensordot(shares, self.hessians, 1)
        for _ in range(steps):
            theta = theta - rate * self.optimiser @ (gradient + hessian @ theta)
        return theta

    def loss(self, k: int, theta: Array) -> float:
        return float(self.gradients[k] @ theta + theta @ self.hessians[k] @ theta / 2)

    def interactions(self, deltas: Array) -> Interactions:
        products = np.einsum("kab,jb->kja", self.hessians, deltas)
        return Interactions(
            domains=DOMAINS[: len(deltas)],
            metrics=tuple(f"{name}/loss" for name in DOMAINS[: len(deltas)]),
            slopes=self.gradients @ deltas.T,
            curvatures=np.einsum("ia,kja->kij", deltas, products),
            curvature_norms=np.linalg.norm(products, axis=2) / np.linalg.norm(deltas, axis=1),
            n_tokens=1,
        )


def error_by_training(bowls: Bowls, shares: Array, time: float, steps: int = 4000) -> Array:
    """Linear merge minus trained, in each domain's loss."""
    n = len(shares)
    rate = time / steps
    merged = shares @ [bowls.train(np.eye(n)[k], rate, steps) for k in range(n)]
    trained = bowls.train(shares, rate, steps)
    return np.array([bowls.loss(k, merged) - bowls.loss(k, trained) for k in range(n)])


def experts(bowls: Bowls, time: float, steps: int = 4000) -> Array:
    n = len(bowls.gradients)
    return np.array([bowls.train(np.eye(n)[k], time / steps, steps) for k in range(n)])


def test_two_domains_on_a_line() -> None:
    """Where g = (1, −1), H = (2, 1), δ = −g/10: the error is ⅛ δ_m (H₁ − H₂)(δ₁ − δ₂)."""
    deltas = np.array([-0.1, 0.1])
    found = Interactions(
        ("a", "b"),
        ("a/loss", "b/loss"),
        np.array([1.0, -1.0])[:, None] * deltas,
        np.array([2.0, 1.0])[:, None, None] * np.outer(deltas, deltas),
        np.array([[2.0, 2.0], [1.0, 1.0]]),
        1,
    )
    pairs = predict_pair_errors(found)
    assert pairs[0, 1] == pytest.approx(np.array([0.0025, -0.0025]))
    assert pairs[1, 0] == pytest.approx(pairs[0, 1])
    assert pairs[0, 0] == pytest.approx(np.zeros(2))
    halves = predict_error(found, np.array([[0.5, 0.5]]))
    assert halves.self_scaling[0] == pytest.approx(np.array([0.00125, -0.00125]))
    assert halves.total[0] == pytest.approx(pairs[0, 1])
    assert predict_linear(found, np.array([[0.5, 0.5]]))[0] == pytest.approx(np.zeros(2))
    assert found.relative_effective_curvature == pytest.approx(np.ones((2, 2)))


@pytest.mark.parametrize("seed", range(4))
def test_the_error_of_real_gradient_descent(seed: int) -> None:
    """The formula is right to second order: halving the time halves its own relative error."""
    bowls, shares = Bowls(seed), np.array([0.2, 0.3, 0.5])
    misses = []
    for time in (4e-3, 2e-3, 1e-3):
        truth = error_by_training(bowls, shares, time)
        found = bowls.interactions(experts(bowls, time))
        predicted = predict_error(found, shares[None]).total[0]
        misses.append(np.abs(predicted - truth).max() / np.abs(truth).max())
    assert misses[-1] < 0.03
    assert misses[0] / misses[1] == pytest.approx(2, rel=0.1)
    assert misses[1] / misses[2] == pytest.approx(2, rel=0.1)


def test_noise_that_merging_averages_away() -> None:
    """Three domains, each run with noise of its own: the merge's loss is lower by ν (1 − Σλ²)."""
    bowls, shares = Bowls(4), np.array([0.2, 0.3, 0.5])
    root = np.random.default_rng(0).normal(size=(DIMENSION, DIMENSION)) / 50
    deltas = experts(bowls, 1e-3)
    noises = np.random.default_rng(1).normal(size=(40_000, 3, DIMENSION)) @ root
    trained = shares @ deltas + np.random.default_rng(2).normal(size=(40_000, DIMENSION)) @ root
    merged = shares @ (deltas + noises)
    hessian, gradient = bowls.hessians[0], bowls.gradients[0]

    def loss(thetas: Array) -> Array:
        return thetas @ gradient + np.einsum("na,ab,nb->n", thetas, hessian, thetas) / 2

    pairs = trained.reshape(-1, 2, DIMENSION)
    per_run = np.stack([loss(pairs[:, 0]), loss(pairs[:, 1])])
    nu = noise_of_runs(per_run, loss(pairs.mean(axis=1))).mean()
    assert nu == pytest.approx(np.trace(hessian @ root.T @ root) / 2, rel=0.05)
    found = bowls.interactions(deltas)
    parts = predict_error(found, shares[None], np.full(3, nu))
    truth = loss(merged).mean() - loss(trained).mean()
    assert parts.averaged_noise[0, 0] == pytest.approx(truth, rel=0.1)
    silent = predict_error(found, shares[None])
    assert parts.total == pytest.approx(silent.total + parts.averaged_noise)


def test_few_steps_make_the_second_order_smaller() -> None:
    bowls, shares = Bowls(0), np.array([0.2, 0.3, 0.5])
    truth = error_by_training(bowls, shares, 1e-4, steps=5)
    found = bowls.interactions(experts(bowls, 1e-4, steps=5))
    predicted = predict_error(found, shares[None]).total[0]
    assert truth == pytest.approx((1 - 1 / 5) * predicted, rel=0.01)


def test_a_metric_of_no_domain_is_taken_as_a_combination_of_them() -> None:
    """Its loss is 0.7 of one domain's and 0.2 of another's, at first order and at second."""
    bowls = Bowls(1)
    found = bowls.interactions(experts(bowls, 1e-3))
    mixed = np.array([0.7, 0.0, 0.2])
    more = Interactions(
        found.domains,
        (*found.metrics, "other/loss"),
        np.vstack([found.slopes, mixed @ found.slopes]),
        np.concatenate([found.curvatures, np.tensordot(mixed, found.curvatures, 1)[None]]),
        np.vstack([found.curvature_norms, found.curvature_norms[:1]]),
        1,
    )
    shares = np.array([[0.1, 0.6, 0.3]])
    assert more.domain_parts[-1] == pytest.approx(mixed, abs=1e-6)
    errors = predict_error(more, shares).total[0]
    assert errors[:3] == pytest.approx(predict_error(found, shares).total[0])
    assert errors[3] == pytest.approx(mixed @ errors[:3])


def test_domains_of_one_curvature_are_merged_without_error() -> None:
    bowls = Bowls(2)
    bowls.hessians[:] = bowls.hessians[0]
    found = bowls.interactions(experts(bowls, 0.01))
    shares = np.array([[0.2, 0.3, 0.5], [0.5, 0.5, 0.0]])
    errors = predict_error(found, shares)
    assert errors.total == pytest.approx(np.zeros((2, 3)), abs=1e-12)
    assert np.abs(errors.self_scaling).max() > 1e-9  # the two causes cancel, they are not nil


def test_the_linear_merge_to_second_order_is_exact_in_a_bowl() -> None:
    bowls = Bowls(3)
    deltas = experts(bowls, 0.2)
    shares = np.array([0.3, 0.3, 0.4])
    predicted = predict_linear(bowls.interactions(deltas), shares[None])[0]
    assert predicted == pytest.approx([bowls.loss(k, shares @ deltas) for k in range(3)])


def test_relative_effective_curvature_is_that_of_the_products() -> None:
    bowls = Bowls(5)
    deltas = experts(bowls, 0.01)
    found = bowls.interactions(deltas).relative_effective_curvature
    for k in range(3):
        own = np.linalg.norm(bowls.hessians[k] @ deltas[k]) / np.linalg.norm(deltas[k])
        for j in range(3):
            other = np.linalg.norm(bowls.hessians[k] @ deltas[j]) / np.linalg.norm(deltas[j])
            assert found[k, j] == pytest.approx(other / own)


@given(
    seed=st.integers(0, 1000),
    parts=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    scale=st.floats(0.5, 3),
)
def test_what_holds_for_any_domains(seed: int, parts: list[float], scale: float) -> None:
    bowls = Bowls(seed)
    shares = np.array([parts]) / sum(parts)
    deltas = np.random.default_rng(seed).normal(size=(3, DIMENSION))
    found = bowls.interactions(deltas)
    error = predict_error(found, shares).total
    corners = predict_error(found, np.eye(3)).total
    assert corners == pytest.approx(np.zeros((3, 3)), abs=1e-9)
    pairs = predict_pair_errors(found)  # they decide every other mixture
    rebuilt = 2 * np.einsum("k,j,kjm->m", shares[0], shares[0], pairs)
    assert error[0] == pytest.approx(rebuilt, abs=1e-8)
    longer = predict_error(bowls.interactions(scale * deltas), shares).total
    assert longer == pytest.approx(scale**2 * error, abs=1e-8)
