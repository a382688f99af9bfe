"""The merge rules of other tools, each in its published form, to compare with.

Notation:
    δᵢ: task vector of expert i in one tensor.  λᵢ: its share, which is its merge weight.  mᵢ: mask
    of expert i.  δ̃ᵢ = mᵢ ∘ δᵢ, rescaled where R is written.  s: sign of Σ λᵢ δ̃ᵢ; A: the experts
    with sign δ̃ᵢ = s, element by element.  vᵢ: mean squared gradients of expert i.

Method:
    ties         Σ_A λᵢ δ̃ᵢ / Σ_A λᵢ     mᵢ the largest
    dare_linear  Σ λᵢ δ̃ᵢ                mᵢ drawn, R
    dare_ties    Σ_A λᵢ δ̃ᵢ              mᵢ drawn, R
    della        Σ_A λᵢ δ̃ᵢ / Σ_A λᵢ     mᵢ drawn by rank, R
    breadcrumbs  Σ λᵢ δ̃ᵢ                mᵢ the middle
    slerp        the great circle from δ₁ to δ₂; the weighted mean direction of more
    fisher       Σ λᵢ vᵢ δᵢ / Σ λⱼ vⱼ

    Masks and signs are constants to derivatives. At λᵢ = 1 ``slerp`` and ``fisher`` give the expert
    itself; the others only the part of it that its mask leaves, so that under them a proxy is off
    even where nothing is mixed.

Source:
    Yadav et al. 2023 (arXiv 2306.01708); Yu et al. 2023 (arXiv 2311.03099); Deep et al. 2024
    (arXiv 2406.11617); Davari and Belilovsky 2023 (arXiv 2312.06795); Shoemake 1985, and
    mergekit's ``nuslerp`` and ``multislerp`` (0.1.5); Matena and Raffel 2021 (arXiv 2111.09832).
    What is normalised and rescaled follows mergekit's defaults, and so does γ; d and ε are those of
    the comparison of rules by DeMix (arXiv 2602.00747), as mergekit's own d = 1 prunes nothing.

Departures:
    Those of `sparsification`, beside this file. The methods' authors prune more: d = 0.2 for TIES,
    0.1 for DARE, 0.7 for DELLA, 0.15 for breadcrumbs. In ``fisher`` the optimiser's mean squared
    gradients of batches stand for the Fisher information, and where it is zero the shares decide.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mixwise.merging.rules.sparsification import (
    drawn,
    drawn_by_rank,
    generator_for,
    largest,
    middle,
    rescaled,
)

DENSITY = 0.9
RANK_SPREAD = 0.01
OUTLIERS = 0.01
_COLINEAR = 0.99999  # from here on, great circle and line differ by less than rounding shows
_SMALL_NORM = 1e-8
_TINY = 1e-30


def ties(name: str, vectors: Sequence[Tensor], shares: Tensor) -> Tensor:
    """Trim, elect signs, merge what agrees (arXiv 2306.01708); trimmed at the corners.

    Args:
        name: Name of the tensor.
        vectors: δ of every expert, float32, all of one shape.
        shares: λ, shape ``(n_experts,)``, none below 0.

    Returns:
        The merged task vector, differentiable in the shares.

    Example:
        >>> one, other = torch.tensor([4.0, -1.0]), torch.tensor([2.0, 3.0])
        >>> ties("w", [one, other], torch.tensor([0.5, 0.5]))  # int(0.9 · 2) = 1 element is kept
        tensor([4., 3.])
    """
    return _mean_of_elected([vector * largest(vector, DENSITY) for vector in vectors], shares)


def dare_linear(name: str, vectors: Sequence[Tensor], shares: Tensor) -> Tensor:
    """Drop at random, rescale, add (arXiv 2311.03099); see `ties`. Thinned at the corners."""
    return _weighted_sum(_thinned(name, vectors), shares)


def dare_ties(name: str, vectors: Sequence[Tensor], shares: Tensor) -> Tensor:
    """Drop at random, rescale, add what agrees (arXiv 2311.03099); see `ties`.

    Thinned at the corners.
    """
    thinned = _thinned(name, vectors)
    agreeing = _elect(thinned, shares)
    return _weighted_sum([v * a for v, a in zip(thinned, agreeing, strict=True)], shares)


def della(name: str, vectors: Sequence[Tensor], shares: Tensor) -> Tensor:
    """Drop by rank and chance, rescale, merge what agrees (arXiv 2406.11617); see `ties`.

    Thinned at the corners.
    """
    generator = generator_for(name)
    masks = [drawn_by_rank(vector, DENSITY, RANK_SPREAD, generator) for vector in vectors]
    kept = [rescaled(vector, mask) for vector, mask in zip(vectors, masks, strict=True)]
    return _mean_of_elected(kept, shares)


def breadcrumbs(name: str, vectors: Sequence[Tensor], shares: Tensor) -> Tensor:
    """Add what is neither outlier nor negligible (arXiv 2312.06795); see `ties`.

    Trimmed at the corners.
    """
    return _weighted_sum([v * middle(v, DENSITY, OUTLIERS) for v in vectors], shares)


def slerp(name: str, vectors: Sequence[Tensor], shares: Tensor) -> Tensor:
    """Turn from one task vector to another (Shoemake 1985); the expert itself at the corners.

    Two experts are merged along their great circle, more in the weighted mean of their directions,
    at the weighted mean of their lengths. That is all of mergekit's ``multislerp``: its step in the
    tangent space at that mean is 0, for the tangent vectors' own weighted mean is. Where there is
    no direction, or two are colinear, the merge is linear. See `ties` for the arguments.
    """
    parts = shares / shares.sum()
    lengths = torch.stack([vector.norm() for vector in vectors])
    units = [v / n.clamp_min(_SMALL_NORM) for v, n in zip(vectors, lengths, strict=True)]
    if len(vectors) == 2:
        return _weighted_sum(vectors, _along_great_circle((units[0] * units[1]).sum(), parts))
    mean = _weighted_sum(units, parts)
    length = mean.norm()
    if float(length.detach()) < _SMALL_NORM:
        return _weighted_sum(vectors, parts)
    merged: Tensor = mean * ((parts * lengths).sum() / length)
    return merged


def fisher(name: str, vectors: Sequence[Tensor], shares: Tensor) -> Tensor:
    """Weigh every element by its Fisher information (arXiv 2111.09832); see `ties`.

    The expert itself at the corners. The experts' second moments follow their task vectors.
    """
    n = len(shares)
    deltas, moments = vectors[:n], vectors[n:]
    mixed = _weighted_sum(moments, shares)
    ratios = [
        torch.where(mixed > _TINY, moment / mixed.clamp_min(_TINY), 1.0) for moment in moments
    ]
    return _weighted_sum([d * r for d, r in zip(deltas, ratios, strict=True)], shares)


def _thinned(name: str, vectors: Sequence[Tensor]) -> list[Tensor]:
    generator = generator_for(name)
    return [rescaled(vector, drawn(vector, DENSITY, generator)) for vector in vectors]


def _weighted_sum(parts: Sequence[Tensor], shares: Tensor) -> Tensor:
    total = shares[0] * parts[0]
    for share, part in zip(shares[1:], parts[1:], strict=True):
        total = total + share * part
    return total


def _elect(parts: Sequence[Tensor], shares: Tensor) -> list[Tensor]:
    """Where each part has the sign of the weighted sum, zero counting as positive."""
    elected = torch.where(_weighted_sum(parts, shares) >= 0, 1.0, -1.0)
    return [part.sign() == elected for part in parts]


def _mean_of_elected(parts: Sequence[Tensor], shares: Tensor) -> Tensor:
    agreeing = _elect(parts, shares)
    total = _weighted_sum([p * a for p, a in zip(parts, agreeing, strict=True)], shares)
    voted = _weighted_sum([a.to(shares.dtype) for a in agreeing], shares)
    return total / torch.where(voted == 0, 1.0, voted)


def _along_great_circle(cosine: Tensor, parts: Tensor) -> Tensor:
    """Weights of two vectors at an angle; those of the linear merge where they are colinear."""
    if abs(float(cosine)) > _COLINEAR:
        return parts
    angle = cosine.acos()
    return (angle * parts).sin() / angle.sin()
