"""How a merged model moves with the shares, tensor by tensor.

Notation:
    λ: shares, ``(n,)``.  θ(λ), δᵢ: one tensor of the merge and of task vector i.  c(λ): merge
    weights of a rule that has them.  g: gradient of a score in that tensor.

Method:
    pull:            gᵀ ∂θ/∂λ       slopes from a gradient
    push:            Σ vᵢ ∂θ/∂λᵢ    direction of the tensor from one of the shares
    rule curvature:  gᵀ ∂²θ/∂λ²     what the rule's own curvature adds to the Hessian

    With merge weights, ∂θ/∂λ = Σₖ δₖ ∂cₖ/∂λ: the products ⟨g, δₖ⟩ are taken once, part of a tensor
    by part, so that g is read from cache and each δ once; the rule's derivatives are n×n and
    n×n×n numbers. Any other rule is differentiated by autograd through its `combine`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch.autograd.functional import hessian, jacobian, jvp

from mixwise.arrays import Array
from mixwise.merging.rules.rule import Coefficients, Combine, LinearRule, MergeRule
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.merging.task_vectors.task_vector import TaskVector, load_all

if TYPE_CHECKING:
    from torch import Tensor

_PART = 1 << 20  # elements of a gradient, 4 MB: fewer cost calls, more leave a core's cache


class Tangents(Protocol):
    """First and second derivatives of one merge in its shares."""

    @property
    def n_shares(self) -> int:
        """Number of shares."""
        ...

    def __contains__(self, name: str) -> bool: ...

    def pull(self, name: str, gradient: Tensor) -> Array:
        """gᵀ ∂θ/∂λ of one tensor, shape ``(n,)``."""
        ...

    def push(self, name: str, direction: Array) -> Tensor:
        """Σ vᵢ ∂θ/∂λᵢ of one tensor, float32, for a direction v of shape ``(n,)``."""
        ...

    def rule_curvature(self, name: str, gradient: Tensor) -> Array:
        """gᵀ ∂²θ/∂λ² of one tensor, shape ``(n, n)``."""
        ...


def tangents_of(
    rule: MergeRule,
    task_vectors: Sequence[TaskVector],
    shares: Sequence[float],
    *,
    kept: Collection[str] = (),
) -> Tangents:
    """Differentiate a rule at a mixture.

    Args:
        rule: The merge rule.
        task_vectors: All that the rule merges.
        shares: λ, shape ``(n,)``; each is moved alone, off the simplex.
        kept: Canonical names of tensors that the rule does not merge.
    """
    if isinstance(rule, LinearRule):
        weight_map = WeightMap.of(rule.coefficients, shares)
        return CoefficientTangents(weight_map, task_vectors, kept)
    return CombineTangents(rule.combine, task_vectors, shares, kept)


class WeightMap:
    """Derivatives of the merge weights in the shares, and the chain rule with them.

    Args:
        jacobian: ∂cₖ/∂λᵢ, shape ``(n_weights, n_shares)``.
        curvature: ∂²cₖ/∂λᵢ∂λⱼ, shape ``(n_weights, n_shares, n_shares)``.
    """

    def __init__(self, jacobian: Array, curvature: Array) -> None:
        self.jacobian = jacobian
        self.curvature = curvature

    @classmethod
    def of(cls, coefficients: Coefficients, shares: Sequence[float]) -> WeightMap:
        """Differentiate merge weights at some shares."""
        point = torch.tensor(shares, dtype=torch.float64)

        def first(at: Tensor) -> Tensor:
            return jacobian(coefficients, at, create_graph=True)  # type: ignore[no-untyped-call]

        second = jacobian(first, point)  # type: ignore[no-untyped-call]
        return cls(first(point).detach().numpy(), second.numpy())

    def slopes(self, products: Array) -> Array:
        """Slopes in the shares ``(…, n_shares)`` from those in the weights ``(…, n_weights)``."""
        return products @ self.jacobian

    def rule_curvature(self, products: Array) -> Array:
        """Curvature of the weights times the slopes in them, ``(…, n_shares, n_shares)``."""
        return np.einsum("...k,kij->...ij", products, self.curvature)

    def hessian(self, inner: Array, products: Array) -> Array:
        """Hessian in the shares from the one in the weights and the slopes in them."""
        return self.jacobian.T @ inner @ self.jacobian + self.rule_curvature(products)


class CoefficientTangents:
    """`Tangents` of θ₀ + Σ cₖ(λ) δₖ.

    Args:
        weight_map: Derivatives of c at the mixture.
        task_vectors: δₖ, one per merge weight.
        kept: Canonical names of tensors that do not move with the shares.
    """

    def __init__(
        self,
        weight_map: WeightMap,
        task_vectors: Sequence[TaskVector],
        kept: Collection[str] = (),
    ) -> None:
        self._map = weight_map
        self._task_vectors = task_vectors
        self._kept = kept

    @property
    def n_shares(self) -> int:
        """See `Tangents.n_shares`."""
        return self._map.jacobian.shape[1]

    def __contains__(self, name: str) -> bool:
        return name not in self._kept and any(name in v for v in self._task_vectors)

    def pull(self, name: str, gradient: Tensor) -> Array:
        """See `Tangents.pull`."""
        return self._map.slopes(self._products(name, gradient))

    def push(self, name: str, direction: Array) -> Tensor:
        """See `Tangents.push`."""
        weights = self._map.jacobian @ direction
        known = [(v, w) for v, w in zip(self._task_vectors, weights, strict=True) if name in v]
        total = torch.zeros_like(known[0][0].load(name))
        for vector, weight in known:
            vector.add_to(total, name, float(weight))
        return total

    def rule_curvature(self, name: str, gradient: Tensor) -> Array:
        """See `Tangents.rule_curvature`."""
        if not self._map.curvature.any():
            return np.zeros((self.n_shares, self.n_shares))
        return self._map.rule_curvature(self._products(name, gradient))

    def _products(self, name: str, gradient: Tensor) -> Array:
        products = np.zeros(len(self._task_vectors))
        known = [(k, vector) for k, vector in enumerate(self._task_vectors) if name in vector]
        flat = gradient.contiguous().view(-1)
        for start, part in self._parts(flat):
            for k, vector in known:
                products[k] += vector.dot(name, part, start=start)
        return products

    def _parts(self, gradient: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Parts that stay in cache; low-rank factors are quickest with the whole."""
        size = gradient.numel() if isinstance(self._task_vectors[0], LoraExpert) else _PART
        for start in range(0, gradient.numel(), size):
            yield start, gradient[start : start + size]


class CombineTangents:
    """`Tangents` of a rule that combines whole tensors.

    Args:
        combine: From the vectors of one tensor and the shares to the merged δ; twice
            differentiable in the shares.
        task_vectors: All that it combines.
        shares: λ, shape ``(n,)``.
        kept: Canonical names of tensors that do not move with the shares.
    """

    def __init__(
        self,
        combine: Combine,
        task_vectors: Sequence[TaskVector],
        shares: Sequence[float],
        kept: Collection[str] = (),
    ) -> None:
        self._combine = combine
        self._kept = kept
        self._task_vectors = task_vectors
        self._shares = torch.tensor(shares, dtype=torch.float32)

    @property
    def n_shares(self) -> int:
        """See `Tangents.n_shares`."""
        return len(self._shares)

    def __contains__(self, name: str) -> bool:
        return name not in self._kept and any(name in v for v in self._task_vectors)

    def pull(self, name: str, gradient: Tensor) -> Array:
        """See `Tangents.pull`."""
        leaf = self._shares.to(gradient.device).requires_grad_()
        with torch.enable_grad():  # it is off inside a backward pass, where gradients appear
            [slopes] = torch.autograd.grad(self._score(name, gradient)(leaf), leaf)
        return slopes.double().cpu().numpy()

    def push(self, name: str, direction: Array) -> Tensor:
        """See `Tangents.push`."""
        deltas = load_all(self._task_vectors, name)
        at = self._shares.to(deltas[0].device)
        along = torch.from_numpy(direction).to(at)
        _, moved = jvp(lambda shares: self._combine(name, deltas, shares), at, along)  # type: ignore[no-untyped-call]
        return moved

    def rule_curvature(self, name: str, gradient: Tensor) -> Array:
        """See `Tangents.rule_curvature`."""
        at = self._shares.to(gradient.device)
        bent = hessian(self._score(name, gradient), at)  # type: ignore[no-untyped-call]
        return bent.double().cpu().numpy()

    def _score(self, name: str, gradient: Tensor) -> Callable[[Tensor], Tensor]:
        deltas, fixed = load_all(self._task_vectors, name), gradient.detach().double()
        return lambda shares: (self._combine(name, deltas, shares).double() * fixed).sum()
