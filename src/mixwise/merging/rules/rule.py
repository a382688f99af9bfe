"""Merge rules: how a mixture and the vectors of a pool give a model.

Notation:
    θ₀: base.  δₖ: vectors of the pool: the task vectors of the experts first, one per domain, then
    whatever else the rule was given (`mixwise.merging.rules.inputs`).  λᵢ: share of domain i.
    cₖ(λ): merge weight of vector k.

Method:
    A rule is one of two kinds. Either it maps shares to merge weights, and the model is
    θ₀ + Σ cₖ(λ) δₖ; or it combines the vectors tensor by tensor, and the model is
    θ₀ + f(δ₁ … δₘ; λ). Both are differentiable in λ, so that slopes exist under every rule.
    That merge weights equal data shares, cᵢ = λᵢ (``linear``), is an assumption.

Source:
    Tao et al. 2025 (arXiv 2505.16066), plain average of a subset; Wang et al. 2026 (arXiv
    2601.17858), ratios.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, final

if TYPE_CHECKING:
    from torch import Tensor

Coefficients = Callable[["Tensor"], "Tensor"]
Combine = Callable[[str, Sequence["Tensor"], "Tensor"], "Tensor"]


@final
@dataclass(frozen=True, slots=True)
class LinearRule:
    """A rule that maps shares to merge weights.

    Args:
        name: Name in recipes, on the command line and in the ledger.
        source: Where it comes from.
        coefficients: From shares, shape ``(n_experts,)``, to merge weights, shape ``(n_vectors,)``,
            by differentiable operations of torch.
    """

    name: str
    source: str
    coefficients: Coefficients


@final
@dataclass(frozen=True, slots=True)
class TensorRule:
    """A rule that combines the vectors tensor by tensor.

    Args:
        name: Name in recipes, on the command line and in the ledger.
        source: Where it comes from.
        combine: From the name of a tensor, the pool's vectors of it, float32, all of one shape, and
            the shares, ``(n_experts,)``, to the merged task vector, differentiable in the shares.
    """

    name: str
    source: str
    combine: Combine


MergeRule: TypeAlias = LinearRule | TensorRule


def shares_as_merge_weights(shares: Tensor) -> Tensor:
    """The linear rule's assumption: cᵢ = λᵢ."""
    return shares


LINEAR = LinearRule("linear", "arXiv 2505.16066, arXiv 2601.17858", shares_as_merge_weights)
