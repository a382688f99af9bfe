"""The Hessian of a batch's likelihoods in the shares.

Notation:
    L: a likelihood in nats.  λ: shares, ``(n,)``.  θ(λ): merge.  H_θ: Hessian of L in the weights.

Method:
    d²L/dλᵢdλⱼ = (∂θ/∂λⱼ)ᵀ H_θ (∂θ/∂λᵢ) + (∂L/∂θ)ᵀ ∂²θ/∂λᵢ∂λⱼ, by double backward: the gradient is
    taken with its graph, and passed backward again along ∂θ/∂λᵢ for each i; its products with all
    ∂θ/∂λⱼ are taken tensor by tensor, as they appear. Time: some 3 + 6n forward passes; memory:
    the graph, one gradient and one direction of the model's size, whatever n is. LoRA experts under
    a rule with merge weights need no gradient of a weight in either pass: some 2 + 2n, and every
    row has a Hessian of its own.

    Forward over reverse would need less memory, but PyTorch 2.13 has no forward derivative of
    ``silu_backward``, and its reverse derivative of layer norm's forward derivative is wrong.

Source:
    Pearlmutter 1994, Fast exact multiplication by the Hessian.

Departures:
    Attention is computed by its plain formula here: fused kernels have no second derivative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from mixwise.arrays import Array
from mixwise.evaluation.likelihood.rows import Batch, batch_nats
from mixwise.merging.multi_lora import UnmergedAdapters
from mixwise.merging.tangents import Tangents, WeightMap
from mixwise.models.live_model import LiveModel
from mixwise.scoring.derivatives.slopes import (
    BatchDerivatives,
    as_array,
    differentiable_tensors,
    fixed_tensors,
    row_leaf,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ModelCurvature:
    """Slopes and Hessian by the live model's tensors, summed over a batch.

    Args:
        live: The live model, which holds the merge.
        tangents: How the merge moves with the shares.
    """

    is_by_row: ClassVar[bool] = False

    live: LiveModel
    tangents: Tangents

    def __call__(self, batch: Batch) -> BatchDerivatives:
        """Differentiate the batch twice."""
        n, pull = self.tangents.n_shares, self.tangents.pull
        slopes, hessian, column = np.zeros(n), np.zeros((n, n)), np.zeros(n)

        def reduce(name: str, gradient: Tensor) -> None:
            np.add(column, pull(name, gradient), out=column)

        with (
            differentiable_tensors(self.live, self.tangents, reduce) as tensors,
            sdpa_kernel(SDPBackend.MATH),
        ):
            nats = batch_nats(self.live.module, batch)
            found = torch.autograd.grad(
                nats.sum(), list(tensors.values()), create_graph=True, allow_unused=True
            )
            gradients = {k: g for k, g in zip(tensors, found, strict=True) if g is not None}
            for name, gradient in gradients.items():
                slopes += pull(name, gradient.detach())
                hessian += self.tangents.rule_curvature(name, gradient.detach())
            for i in range(n):
                column[:] = 0
                backward_along(self.tangents, gradients, np.eye(n)[i], is_last=i == n - 1)
                hessian[i] += column
        return BatchDerivatives(as_array(nats), slopes[None], _symmetric(hessian)[None])


def backward_along(
    tangents: Tangents, gradients: dict[str, Tensor], direction: Array, *, is_last: bool
) -> None:
    """Run backward through gradients, whose product with the Hessian reaches the tensors' hooks.

    Args:
        tangents: How the merge moves with the shares.
        gradients: Of the model's tensors, with the graph behind them.
        direction: Of the shares, shape ``(n,)``.
        is_last: Whether the graph may be freed.
    """
    curved = {name: g for name, g in gradients.items() if g.requires_grad}
    along = [tangents.push(name, direction).to(g) for name, g in curved.items()]
    torch.autograd.backward(list(curved.values()), along, retain_graph=not is_last)


@dataclass(frozen=True, slots=True, eq=False)
class AdapterCurvature:
    """Slopes and Hessian of each row from the merge weights of LoRA experts.

    Args:
        live: The live model, which holds the merge.
        adapters: The experts.
        weight_map: How their merge weights move with the shares.
    """

    is_by_row: ClassVar[bool] = True

    live: LiveModel
    adapters: UnmergedAdapters
    weight_map: WeightMap

    def __call__(self, batch: Batch) -> BatchDerivatives:
        """Differentiate the batch twice."""
        leaf = row_leaf(self.live, batch, len(self.weight_map.jacobian))
        with (
            fixed_tensors(self.live),
            self.adapters.serving(leaf),
            sdpa_kernel(SDPBackend.MATH),
        ):
            nats = batch_nats(self.live.module, batch)
            [products] = torch.autograd.grad(nats.sum(), leaf, create_graph=True)
            inner = [
                torch.autograd.grad(column.sum(), leaf, retain_graph=True)[0]
                for column in products.unbind(dim=1)
            ]
        slopes = as_array(products)
        hessians = self.weight_map.hessian(as_array(torch.stack(inner, dim=1)), slopes)
        return BatchDerivatives(
            as_array(nats), self.weight_map.slopes(slopes), _symmetric(hessians)
        )


def _symmetric(hessians: np.ndarray) -> np.ndarray:
    """The mean of a Hessian and its transpose, which rounding has made differ."""
    return (hessians + hessians.swapaxes(-1, -2)) / 2
