"""Merge as Adam moves: a coordinate that one domain alone uses hardly feels that domain's share.

Notation:
    λᵢ: share of domain i.  δᵢ, vᵢ: task vector and mean squared gradients of expert i, element by
    element.  p ∈ [0, 1]: how much of Adam's normalisation is undone; p = 0 is the linear merge.

Method:
    δ(λ) = Σ λᵢ (vᵢ / Σⱼ λⱼ vⱼ)ᵖ δᵢ. Adam divides by the root of the second moment, which on a
    mixture is that of the mixture, Σ λⱼ vⱼ, and not the expert's own; p = ½ is that root. With a
    centre run, what this merge misses there is added, h(λ) times.

Departures:
    Where no domain has a gradient, the shares themselves are the merge weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mixwise.merging.rules.corrections import evenness
from mixwise.merging.rules.inputs import Ingredients, VectorParts
from mixwise.merging.rules.rule import Combine

_EXPONENT = 0.35  # between 0.25 and 0.5 the error is flat: docs/science.md
_TINY = 1e-30


def optimiser_aware(ingredients: Ingredients) -> Combine:
    """Combine the experts by their second moments."""

    def combine(name: str, vectors: Sequence[Tensor], shares: Tensor) -> Tensor:
        return _merge(ingredients.split(vectors), shares)

    return combine


def optimiser_aware_by_centre(ingredients: Ingredients) -> Combine:
    """The same, corrected by a run at the uniform mixture."""

    def combine(name: str, vectors: Sequence[Tensor], shares: Tensor) -> Tensor:
        known = ingredients.split(vectors)
        uniform = torch.full_like(shares, 1 / ingredients.n_domains)
        missed = known.extra_deltas[0] - _merge(known, uniform)
        return _merge(known, shares) + evenness(shares) * missed

    return combine


def _merge(known: VectorParts, shares: Tensor) -> Tensor:
    stacked = torch.stack(tuple(known.deltas))
    seen = torch.stack(tuple(known.second_moments))
    weights = shares.view(-1, *[1] * (stacked.dim() - 1)).to(stacked.dtype)
    mixed = (weights * seen).sum(0)
    ratio = torch.where(mixed > _TINY, seen / mixed.clamp_min(_TINY), torch.ones_like(seen))
    return (weights * stacked * ratio.clamp_min(_TINY) ** _EXPONENT).sum(0)
