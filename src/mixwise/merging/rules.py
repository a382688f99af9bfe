"""Merge rules: how a mixture and the experts' task vectors give a model.

Notation:
    θ₀: base.  δᵢ: task vector of expert i.  λᵢ: share of domain i.  wᵢ(λ): its merge weight.

Method:
    A rule is one of two kinds. Either it maps shares to merge weights, and the model is
    θ₀ + Σ wᵢ(λ) δᵢ; or it combines the task vectors tensor by tensor, and the model is
    θ₀ + c(δ₁ … δₙ; λ). Both are differentiable in λ, so that slopes exist under every rule.
    That merge weights equal data shares, wᵢ = λᵢ (``linear``), is an assumption.

Source:
    Tao et al. 2025 (arXiv 2505.16066), plain average of a subset; Wang et al. 2026 (arXiv
    2601.17858), ratios.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixwise.errors import RecipeError, nearest

if TYPE_CHECKING:
    from torch import Tensor

Coefficients = Callable[["Tensor"], "Tensor"]
Combine = Callable[[Sequence["Tensor"], "Tensor"], "Tensor"]


@dataclass(frozen=True, slots=True)
class MergeRule:
    """A row of the table of rules; it has either coefficients or a way to combine.

    Args:
        name: Name in recipes, on the command line and in the ledger.
        source: Paper that it comes from.
        coefficients: From shares, shape ``(n_experts,)``, to merge weights of the same shape, by
            differentiable operations of torch.
        combine: From the task vectors of one tensor, float32, all of one shape, and the shares,
            ``(n_experts,)``, to the merged task vector, differentiable in the shares.

    Raises:
        RecipeError: If both or none are given.
    """

    name: str
    source: str
    coefficients: Coefficients | None = None
    combine: Combine | None = None

    def __post_init__(self) -> None:
        if (self.coefficients is None) == (self.combine is None):
            which = "neither" if self.combine is None else "both"
            raise RecipeError(
                f"merge rule `{self.name}` must have `coefficients` or `combine`, but has {which}: "
                "give one of them"
            )


def shares_as_merge_weights(shares: Tensor) -> Tensor:
    """The linear rule's assumption: wᵢ = λᵢ."""
    return shares


RULES: Mapping[str, MergeRule] = {
    rule.name: rule
    for rule in (
        MergeRule("linear", "arXiv 2505.16066, arXiv 2601.17858", shares_as_merge_weights),
    )
}


def find_rule(name: str) -> MergeRule:
    """Look a rule up by name.

    Raises:
        RecipeError: If there is no such rule.
    """
    if name not in RULES:
        raise RecipeError(f"`{name}` is not a merge rule: {nearest(name, RULES)}")
    return RULES[name]
