from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.derived import (
    BENT_SUM,
    BENT_WEIGHTS,
    DOMAINS,
    EVERY_RULE,
    LINEAR,
    bent_sum,
    bent_weights,
)
from torch import Tensor
from torch.autograd.functional import hessian, jacobian

from mixwise.merging.rules.rule import MergeRule, TensorRule
from mixwise.merging.tangents import CombineTangents, WeightMap, tangents_of

SHARES = (0.2, 0.3, 0.5)


class Drawn:
    """A task vector of two small random tensors; the second one it may leave alone."""

    fingerprint = "drawn"

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.deltas = {"w": torch.randn(4, 5, generator=generator)}
        if seed != 1:
            self.deltas["b"] = torch.randn(3, generator=generator)

    def __contains__(self, name: str) -> bool:
        return name in self.deltas

    def load(self, name: str) -> Tensor:
        return self.deltas[name]

    def add_to(self, total: Tensor, name: str, share: float, *, start: int = 0) -> None:
        part = self.deltas[name].flatten()[start : start + total.numel()]
        total.view(-1).add_(part, alpha=share)

    def dot(self, name: str, gradient: Tensor, *, start: int = 0) -> float:
        part = self.deltas[name].flatten()[start : start + gradient.numel()]
        return float(part.double() @ gradient.flatten().double())


VECTORS = [Drawn(seed) for seed in range(len(DOMAINS))]


def merged(rule: MergeRule, name: str, shares: Tensor) -> Tensor:
    shape = VECTORS[0].deltas[name].shape
    deltas = [v.deltas.get(name, torch.zeros(shape)).double() for v in VECTORS]
    if isinstance(rule, TensorRule):
        return rule.combine(name, deltas, shares)
    return torch.tensordot(rule.coefficients(shares), torch.stack(deltas), dims=1)


@pytest.mark.parametrize("name", ["w", "b"])
@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.name)
def test_every_product_is_that_of_autograd(rule: MergeRule, name: str) -> None:
    tangents = tangents_of(rule, VECTORS, SHARES)
    at = torch.tensor(SHARES, dtype=torch.float64)
    gradient = torch.randn(
        VECTORS[0].deltas[name].shape, generator=torch.Generator().manual_seed(9)
    )
    moved = jacobian(lambda s: merged(rule, name, s), at)
    bent = hessian(lambda s: (merged(rule, name, s) * gradient).sum(), at)
    direction = np.array([0.5, -1.0, 2.0])
    pulled = torch.tensordot(gradient.double(), moved, dims=gradient.dim())
    assert tangents.pull(name, gradient) == pytest.approx(pulled.numpy(), rel=1e-5)
    along = moved @ torch.from_numpy(direction)
    assert tangents.push(name, direction).numpy() == pytest.approx(along.numpy(), rel=1e-4)
    assert tangents.rule_curvature(name, gradient) == pytest.approx(
        bent.numpy(), rel=1e-4, abs=1e-6
    )
    assert name in tangents
    assert "other" not in tangents


def test_a_gradient_larger_than_the_cache_is_taken_part_by_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gradient = torch.arange(20.0).view(4, 5)
    whole = tangents_of(BENT_WEIGHTS, VECTORS, SHARES).pull("w", gradient)
    monkeypatch.setattr("mixwise.merging.tangents._PART", 8)
    parts = tangents_of(BENT_WEIGHTS, VECTORS, SHARES).pull("w", gradient)
    assert parts == pytest.approx(whole)
    assert tangents_of(LINEAR, VECTORS, SHARES).pull("w", gradient) != pytest.approx(whole)


def test_a_combination_is_pulled_inside_a_backward_pass() -> None:
    tangents = CombineTangents(bent_sum, VECTORS, SHARES)
    seen: list[np.ndarray] = []
    leaf = torch.ones(4, 5, requires_grad=True)
    leaf.register_hook(lambda gradient: seen.append(tangents.pull("w", gradient)))
    (2 * leaf).sum().backward()
    assert seen[0] == pytest.approx(tangents.pull("w", torch.full((4, 5), 2.0)))


@settings(deadline=None)  # its first example waits for imports
@given(st.lists(st.floats(-2, 2, width=16), min_size=3, max_size=3))
def test_chain_rule_of_merge_weights(shares: list[float]) -> None:
    quadratic = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, -1.0], [0.0, -1.0, 3.0]]).double()
    linear = torch.tensor([1.0, -2.0, 0.5]).double()

    def score(weights: Tensor) -> Tensor:
        return linear @ weights + weights @ quadratic @ weights / 2

    at = torch.tensor(shares, dtype=torch.float64)
    weights = bent_weights(at)
    products = (linear + quadratic @ weights).numpy()
    chain = WeightMap.of(bent_weights, shares)
    slopes = jacobian(lambda s: score(bent_weights(s)), at).numpy()
    bent = hessian(lambda s: score(bent_weights(s)), at).numpy()
    assert chain.slopes(products) == pytest.approx(slopes, abs=1e-9)
    assert chain.hessian(quadratic.numpy(), products) == pytest.approx(bent, abs=1e-9)


def test_a_linear_rule_has_no_curvature_of_its_own() -> None:
    chain = WeightMap.of(LINEAR.coefficients, SHARES)
    assert (chain.jacobian == np.eye(3)).all()
    assert not chain.curvature.any()
    assert tangents_of(BENT_SUM, VECTORS, SHARES).rule_curvature("w", torch.ones(4, 5)).any()
