"""LoRA experts served unmerged: one batch of a live base model holds many candidates.

Notation:
    K, N: candidates, experts.  T: tokens of one candidate in the batch.  λ: merge weights,
    ``(K, N)``.  W₀: a weight of the base.  Aᵢ ``(rᵢ, in)``, Bᵢ ``(out, rᵢ)``: factors of expert i,
    its scale in Bᵢ.  R = Σ rᵢ.  A ``(R, in)``, B ``(out, R)``: the factors of all experts stacked.

Method:
    Rows are candidate-major: the first 1/K of the batch belongs to the first candidate. Each weight
    is served in the cheaper of two ways, by multiply-adds for the whole batch:

    factors:  y = xW₀ᵀ + ((xAᵀ) ∘ λ_R) Bᵀ                       K·T·R·(in + out)
    built:    Wₖ = W₀ + Σ λₖᵢ (BᵢAᵢ), yₖ = xₖWₖᵀ               in·out·(R + 3·K·N)

    where λ_R repeats λᵢ for each rank of expert i, and 3 is what a multiply-add costs that waits
    for memory. Every update BᵢAᵢ is made once for all K. Building wins above some in·out/(in + out)
    tokens in the whole batch, and rounds Wₖ where the live model is less precise than float32:
    there only factors are used.

    W₀ is whatever the live model holds: the base for candidates; a merge, with weights of 0 on top
    of it, for derivatives at that merge. `tracing` computes such a merge's first derivatives
    without the factors' part of the answers: dL/dλ_R = Σ_t (xAᵀ) ∘ (gB), of each row, and no
    gradient of a weight is formed.

Source:
    Hu et al. 2021 (arXiv 2106.09685); many adapters in a batch: Chen et al. 2023, Punica (arXiv
    2310.18547).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mixwise.errors import CheckpointError
from mixwise.merging.task_vectors.adapters import LoraExpert, is_linear
from mixwise.models.live_model import LiveModel

if TYPE_CHECKING:
    from torch import Tensor

BUILD_COST = 3  # of a multiply-add that waits for memory, in those that do not; measured
_SCRATCH_BYTES = 1 << 28  # of built weights; fewer candidates at once where it does not suffice


def serving_cost(
    n_tokens: int, n_candidates: int, n_experts: int, n_ranks: int, shape: tuple[int, int]
) -> int:
    """Multiply-adds that unmerged experts cost on one weight, in the cheaper way.

    Args:
        n_tokens: Tokens of the batch, of all candidates.
        n_candidates: K.
        n_experts: N.
        n_ranks: R of the weight.
        shape: Of the weight.
    """
    return min(
        _factor_cost(n_tokens, n_ranks, shape),
        _build_cost(n_candidates, n_experts, n_ranks, shape),
    )


def _factor_cost(n_tokens: int, n_ranks: int, shape: tuple[int, int]) -> int:
    return n_tokens * n_ranks * sum(shape)


def _build_cost(n_candidates: int, n_experts: int, n_ranks: int, shape: tuple[int, int]) -> int:
    return shape[0] * shape[1] * (n_ranks + BUILD_COST * n_candidates * n_experts)


@dataclass(frozen=True, slots=True, eq=False)
class _Site:
    """One module whose weight the experts change.

    Args:
        module: An ``nn.Linear``, or a ``Conv1D`` of GPT-2, which keeps its weight transposed.
        is_transposed: Whether the weight is ``(in, out)``.
        a: Stacked A, shape ``(R, in)``.
        b: Stacked B, scaled, shape ``(out, R)``.
        ranks: Rank of each expert here, 0 for one that leaves the weight alone, ``(n_experts,)``.
    """

    module: nn.Module
    is_transposed: bool
    a: Tensor
    b: Tensor
    ranks: Tensor

    @property
    def weight(self) -> Tensor:
        """The module's weight as ``(out, in)``."""
        weight: Tensor = self.module.weight  # type: ignore[assignment]
        return weight.T if self.is_transposed else weight

    @property
    def bias(self) -> Tensor | None:
        """The module's bias, shape ``(out,)``."""
        bias: Tensor | None = self.module.bias  # type: ignore[assignment]
        return bias

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in)."""
        return self.b.shape[0], self.a.shape[1]

    def per_rank(self, merge_weights: Tensor) -> Tensor:
        """λ_R, shape ``(n_candidates, R)``."""
        return merge_weights.repeat_interleave(self.ranks, dim=1).to(self.a.dtype)


class UnmergedAdapters:
    """The stacked factors of LoRA experts, and the modules of the live model that they belong to.

    Args:
        live: The live model of the experts' base.
        experts: One or more; their order is that of the merge weights.

    Raises:
        CheckpointError: If an expert changes what is no linear layer, or one that tokens are routed
            to; merged it can be scored all the same.
    """

    def __init__(self, live: LiveModel, experts: Sequence[LoraExpert]) -> None:
        self._sites = [_find_site(live, target, experts) for target in targets_of(experts)]

    def serving(self, merge_weights: Tensor) -> AbstractContextManager[None]:
        """Let the live model answer for every candidate, each with its own part of the batch.

        Args:
            merge_weights: λ on top of what the live model holds, on its device, shape
                ``(n_candidates, n_experts)``. If it requires a gradient, only factors are used, and
                the answers can be differentiated any number of times.
        """
        scratch = _Scratch()
        return self._patched(lambda site: _serve(site, merge_weights, scratch))

    def tracing(self, merge_weights: Tensor) -> AbstractContextManager[None]:
        """Let the live model be differentiated once in the weights of the merge that it holds.

        Args:
            merge_weights: One set for each row of the batch, shape ``(n_rows, n_experts)``;
                requires a gradient. Its values are not used: they are in the live model.
        """
        return self._patched(lambda site: _trace(site, merge_weights))

    @contextmanager
    def _patched(
        self, make_forward: Callable[[_Site], Callable[[Tensor], Tensor]]
    ) -> Iterator[None]:
        with ExitStack() as stack:
            for site in self._sites:
                stack.enter_context(_replaced_forward(site.module, make_forward(site)))
            yield


def targets_of(experts: Sequence[LoraExpert]) -> tuple[str, ...]:
    """Canonical names of the weights that any of the experts changes."""
    return tuple(sorted({target for expert in experts for target in expert.factors}))


def can_serve(live: LiveModel, experts: Sequence[LoraExpert]) -> bool:
    """Whether all that the experts change is linear layers that see every token in its place.

    A head that was trained in full is no product of factors.
    """
    return not any(expert.dense for expert in experts) and all(
        _is_servable(live, target) for target in targets_of(experts)
    )


def _is_servable(live: LiveModel, target: str) -> bool:
    is_routed = ".experts." in target
    return is_linear(live, target.removesuffix(".weight")) and not is_routed


def _find_site(live: LiveModel, target: str, experts: Sequence[LoraExpert]) -> _Site:
    module = live.module.get_submodule(target.removesuffix(".weight"))
    if not _is_servable(live, target):
        raise CheckpointError(
            f"{live.base.folder}: only adapters of linear layers that see every token can be "
            f"served unmerged, but `{target}` belongs to {type(module).__name__}: "
            "merge them instead"
        )
    weight = live.tensors[target]
    factors = [expert.factors.get(target) for expert in experts]
    known = [pair for pair in factors if pair is not None]
    return _Site(
        module,
        not isinstance(module, nn.Linear),
        torch.cat([pair.a for pair in known]).to(weight),
        torch.cat([pair.b for pair in known], dim=1).to(weight),
        torch.tensor([0 if f is None else len(f.a) for f in factors], device=weight.device),
    )


@contextmanager
def _replaced_forward(module: nn.Module, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
    own: dict[str, Any] = vars(module)
    before = own.get("forward")
    own["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del own["forward"]
        else:
            own["forward"] = before


class _Scratch:
    """Memory in which one weight after the other is built.

    Fresh pages for each would cost more than building it.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def take(self, purpose: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """An empty tensor, valid until the same purpose is asked for again."""
        n_elements = math.prod(shape)
        kept = self._kept.get(purpose)
        if kept is None or kept.numel() < n_elements or kept.device != like.device:
            kept = self._kept[purpose] = like.new_empty(n_elements)
        return kept[:n_elements].view(shape)


def _serve(site: _Site, merge_weights: Tensor, scratch: _Scratch) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        rows = _by_candidate(x, len(merge_weights))
        n_candidates, n_experts = merge_weights.shape
        built = _build_cost(n_candidates, n_experts, len(site.a), site.shape)
        if (
            merge_weights.requires_grad
            or x.element_size() < 4
            or _factor_cost(rows.shape[0] * rows.shape[1], len(site.a), site.shape) <= built
        ):
            y = _from_factors(site, rows, merge_weights)
        else:
            y = _from_built(site, rows, merge_weights, scratch)
        return y.view(*x.shape[:-1], -1)

    return forward


def _from_factors(site: _Site, rows: Tensor, merge_weights: Tensor) -> Tensor:
    """Answers ``(K, T, out)`` by the factors, added to the base's."""
    scaled = (rows @ site.a.T) * site.per_rank(merge_weights)[:, None]
    y = nn.functional.linear(rows, site.weight, site.bias)
    if y.requires_grad or scaled.requires_grad:
        return y + scaled @ site.b.T
    y.view(-1, y.shape[-1]).addmm_(scaled.flatten(0, 1), site.b.T)
    return y


def _from_built(site: _Site, rows: Tensor, merge_weights: Tensor, scratch: _Scratch) -> Tensor:
    """Answers ``(K, T, out)`` by one weight for each candidate."""
    updates = _updates(site, scratch)
    weight = site.weight.flatten()
    y = rows.new_empty(*rows.shape[:-1], site.shape[0])
    at_once = max(1, _SCRATCH_BYTES // (weight.numel() * weight.element_size()))
    for k in range(0, len(rows), at_once):
        shares = merge_weights[k : k + at_once].to(weight)
        built = scratch.take("built", (len(shares), weight.numel()), weight)
        torch.addmm(weight, shares, updates, out=built)
        torch.bmm(rows[k : k + at_once], built.view(-1, *site.shape).mT, out=y[k : k + at_once])
    return y if site.bias is None else y.add_(site.bias)


def _updates(site: _Site, scratch: _Scratch) -> Tensor:
    """BᵢAᵢ of every expert, shape ``(n_experts, out·in)``."""
    updates = scratch.take("updates", (len(site.ranks), *site.shape), site.a)
    start = 0
    for update, rank in zip(updates, site.ranks.tolist(), strict=True):
        torch.mm(site.b[:, start : start + rank], site.a[start : start + rank], out=update)
        start += rank
    return updates.flatten(1)


def _trace(site: _Site, merge_weights: Tensor) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        rows = _by_candidate(x, len(merge_weights))
        y: Tensor = _TracedLinear.apply(  # type: ignore[no-untyped-call]
            rows, site, site.per_rank(merge_weights)
        )
        return y.view(*x.shape[:-1], -1)

    return forward


class _TracedLinear(torch.autograd.Function):
    """xWᵀ + b with W = W₀ + B·diag(λ_R)·A already summed, differentiable in x and λ_R."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, site: _Site, per_rank: Tensor) -> Tensor:
        ctx.site = site
        ctx.save_for_backward(rows @ site.a.T)
        return nn.functional.linear(rows, site.weight, site.bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor]:
        site, (reduced,) = ctx.site, ctx.saved_tensors
        rows = gradient @ site.weight if ctx.needs_input_grad[0] else None
        return rows, None, (reduced * (gradient @ site.b)).sum(dim=1)


def _by_candidate(x: Tensor, n_candidates: int) -> Tensor:
    """Put a layer's input ``(n_rows, L, in)`` into ``(n_candidates, T, in)``."""
    return x.reshape(n_candidates, -1, x.shape[-1])
