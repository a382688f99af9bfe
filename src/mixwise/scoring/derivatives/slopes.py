"""Slopes of a batch's likelihoods in the shares, from one forward and one backward pass.

Notation:
    L_b: negative log-likelihood of row b of a batch, in nats.  λ: shares, ``(n,)``.  θ(λ): merge.

Method:
    Full experts: dL/dλ = Σ over tensors of (∂L/∂θ)ᵀ ∂θ/∂λ. Each tensor's gradient is reduced as
    soon as autograd has it, and dropped: no gradient of the model is kept. Reverse mode's price is
    three forward passes, whatever n is.

    LoRA experts under a rule with merge weights: autograd is told of the merge weights alone, one
    set for each row (`UnmergedAdapters.tracing`). No gradient of a weight is formed, which leaves
    two forward passes and the factors' share, and every row has slopes of its own.

Departures:
    An embedding's gradient leaves out the row of its padding token. Experts may move that row (tied
    embeddings do) and texts may hold that token, so it counts here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import torch
from torch import nn

from mixwise.arrays import Array
from mixwise.evaluation.likelihood.rows import Batch, batch_nats
from mixwise.merging.multi_lora import UnmergedAdapters
from mixwise.merging.tangents import Tangents, WeightMap
from mixwise.models.live_model import LiveModel

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class BatchDerivatives:
    """Likelihoods of a batch's rows and how they move with the shares.

    Args:
        nats: Negative log-likelihood of each row, shape ``(n_rows,)``.
        slopes: Its slopes in the shares: of each row, or one sum over the rows,
            ``(n_rows or 1, n_shares)``.
        hessians: The same of second order, ``(n_rows or 1, n_shares, n_shares)``, where wanted.
    """

    nats: Array
    slopes: Array
    hessians: Array | None = None


class Differentiator(Protocol):
    """Differentiates the likelihoods of the merge that is in the live model."""

    @property
    def is_by_row(self) -> bool:
        """Whether derivatives are those of each row, and not their sum over a batch."""
        ...

    def __call__(self, batch: Batch) -> BatchDerivatives:
        """Differentiate a batch."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ModelSlopes:
    """Slopes from the gradients of the live model's tensors, summed over a batch.

    Args:
        live: The live model, which holds the merge.
        tangents: How the merge moves with the shares.
    """

    is_by_row: ClassVar[bool] = False

    live: LiveModel
    tangents: Tangents

    def __call__(self, batch: Batch) -> BatchDerivatives:
        """Run the batch forward and backward."""
        slopes = np.zeros(self.tangents.n_shares)

        def reduce(name: str, gradient: Tensor) -> None:
            np.add(slopes, self.tangents.pull(name, gradient), out=slopes)

        with differentiable_tensors(self.live, self.tangents, reduce):
            nats = batch_nats(self.live.module, batch)
            nats.sum().backward()  # type: ignore[no-untyped-call]
        return BatchDerivatives(as_array(nats), slopes[None])


@dataclass(frozen=True, slots=True, eq=False)
class AdapterSlopes:
    """Slopes of each row from the merge weights of LoRA experts.

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
        """Run the batch forward and backward."""
        leaf = row_leaf(self.live, batch, len(self.weight_map.jacobian))
        with fixed_tensors(self.live), self.adapters.tracing(leaf):
            nats = batch_nats(self.live.module, batch)
            [products] = torch.autograd.grad(nats.sum(), leaf)
        return BatchDerivatives(as_array(nats), self.weight_map.slopes(as_array(products)))


def row_leaf(live: LiveModel, batch: Batch, n_experts: int) -> Tensor:
    """Merge weights of 0 for each row on top of the merge, to be differentiated in."""
    like = next(live.module.parameters())
    return like.new_zeros(len(batch.ids), n_experts).requires_grad_()


def as_array(values: Tensor) -> Array:
    """Values as numbers of float64, without their graph."""
    return values.detach().double().cpu().numpy()


@contextmanager
def differentiable_tensors(
    live: LiveModel, tangents: Tangents, take: Callable[[str, Tensor], None]
) -> Iterator[Mapping[str, nn.Parameter]]:
    """Let backward passes hand over the gradient of each tensor that the shares move.

    Args:
        live: The live model; it is left as it was.
        tangents: Knows which tensors the shares move; the others get no gradient.
        take: Called with the canonical name and the gradient of a tensor, which is dropped after.

    Yields:
        The parameters that get a gradient, by canonical name.
    """
    named = live.module.state_dict(keep_vars=True)
    moved = {
        name: named[name]
        for name in live.tensors
        if isinstance(named[name], nn.Parameter) and name in tangents
    }

    def hand_over(name: str) -> Callable[[Tensor], None]:
        def hook(parameter: Tensor) -> None:
            gradient, parameter.grad = parameter.grad, None
            if gradient is not None:
                take(name, gradient)

        return hook

    with fixed_tensors(live), torch.enable_grad():
        handles = []
        try:
            for name, parameter in moved.items():
                parameter.requires_grad_(True)
                handles.append(parameter.register_post_accumulate_grad_hook(hand_over(name)))
            yield moved
        finally:
            for handle in handles:
                handle.remove()
            for parameter in moved.values():
                parameter.grad = None


@contextmanager
def fixed_tensors(live: LiveModel) -> Iterator[None]:
    """Let no tensor of the live model ask for a gradient, and no embedding leave one out."""
    parameters = {p: p.requires_grad for p in live.module.parameters()}
    padded = {
        module: module.padding_idx
        for module in live.module.modules()
        if isinstance(module, nn.Embedding)
    }
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        for module in padded:
            module.padding_idx = None
        with torch.enable_grad():
            yield
    finally:
        for parameter, asked in parameters.items():
            parameter.requires_grad_(asked)
        for module, padding in padded.items():
            module.padding_idx = padding
