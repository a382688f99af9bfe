"""Merge rules: how a mixture and the experts give a model, tensor by tensor.

Notation:
    θ₀, θᵢ: a tensor of the base and of expert i.  δᵢ = θᵢ − θ₀.  λᵢ: share of domain i, Σ λᵢ = 1.

Method:
    linear:  θ(λ) = θ₀ + Σ λᵢ δᵢ = Σ λᵢ θᵢ. The second form is the one computed: it needs no base,
    and a one-domain mixture gives that expert's tensor bit for bit.

Source:
    Tao et al. 2025 (arXiv 2505.16066), plain average of a subset; Wang et al. 2026 (arXiv
    2601.17858), ratios. That merge weights equal data shares is an assumption of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixwise.errors import RecipeError, nearest

if TYPE_CHECKING:
    from torch import Tensor

ReadExpert = Callable[[int], "Tensor"]
MergeTensor = Callable[[ReadExpert, Sequence[float]], "Tensor"]


@dataclass(frozen=True, slots=True)
class MergeRule:
    """A row of the table of rules.

    Args:
        name: Name in recipes, on the command line and in the ledger.
        source: Paper that it comes from.
        merge_tensor: From a reader of expert i's tensor and the shares to the merged tensor in
            float32; experts with share 0 are not read.
    """

    name: str
    source: str
    merge_tensor: MergeTensor


def merge_linear(read_expert: ReadExpert, shares: Sequence[float]) -> Tensor:
    """Σ λᵢ θᵢ of one tensor, accumulated in float32, one expert in memory at a time."""
    merged: Tensor | None = None
    for i, share in enumerate(shares):
        if share == 0:
            continue
        scaled = read_expert(i).float() * share
        merged = scaled if merged is None else merged.add_(scaled)
    if merged is None:
        raise RecipeError("a merge needs at least one share above 0")
    return merged


RULES: Mapping[str, MergeRule] = {
    rule.name: rule
    for rule in (MergeRule("linear", "arXiv 2505.16066, arXiv 2601.17858", merge_linear),)
}


def find_rule(name: str) -> MergeRule:
    """Look a rule up by name.

    Raises:
        RecipeError: If there is no such rule.
    """
    if name not in RULES:
        raise RecipeError(f"`{name}` is not a merge rule: {nearest(name, RULES)}")
    return RULES[name]
