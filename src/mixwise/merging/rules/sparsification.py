"""Parts of a task vector: its largest elements, those in the middle, or a random draw.

Notation:
    δ: task vector in one tensor.  d: density, the part of its elements that is kept.  m: the mask.
    γ: part of the elements, the largest, that count as outliers.  ε: half the range of chances.

Method:
    largest          m = 1 for the ⌊d·size⌋ elements of greatest |δ|
    middle           the same number of elements, once ⌊γ·size⌋ greater ones are left out
    drawn            m ~ Bernoulli(d)
    drawn_by_rank    m ~ Bernoulli(d + ε (2r − 1)), r ∈ [0, 1] the rank of |δ| within its row
    rescaled         m ∘ δ · ‖δ‖₁ / ‖m ∘ δ‖₁

    A mask is drawn from a seed and the tensor's name, on the CPU: a rule draws the same masks for
    every candidate of a search, on every device, so that candidates differ by their shares alone.

Source:
    Yadav et al. 2023 (arXiv 2306.01708), largest; Davari and Belilovsky 2023 (arXiv 2312.06795),
    middle; Yu et al. 2023 (arXiv 2311.03099), drawn; Deep et al. 2024 (arXiv 2406.11617),
    by rank. Details as in ``sparsify.py`` of mergekit 0.1.5.

Departures:
    The papers divide what a drawn mask leaves by the chance that it was kept; this module restores
    the L1 norm, as mergekit does. Where mergekit divides by 0, at the only element of a row, the
    chance is d − ε; and one element at least is in the middle.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

_SEED = "mixwise 1"
_SMALL_NORM = 1e-7


def largest(vector: Tensor, density: float) -> Tensor:
    """Mask of the elements of greatest magnitude.

    Args:
        vector: δ, of any shape.
        density: d, in (0, 1].
    """
    n_kept = _n_kept(vector, density)
    return _mask_at(vector, vector.abs().flatten().topk(n_kept, sorted=False).indices)


def middle(vector: Tensor, density: float, outliers: float) -> Tensor:
    """Mask of the elements of greatest magnitude but for the very greatest.

    Args:
        vector: δ, of any shape.
        density: d, in (0, 1].
        outliers: γ, in [0, 1); fewer are left out where d asks for it.
    """
    n_kept = _n_kept(vector, density)
    n_outliers = min(int(outliers * vector.numel()), vector.numel() - n_kept)
    found = vector.abs().flatten().topk(n_kept + n_outliers, sorted=False)
    inside = found.values.topk(n_kept, largest=False, sorted=False).indices
    return _mask_at(vector, found.indices[inside])


def drawn(vector: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """Mask in which every element has the same chance.

    Args:
        vector: δ, of any shape.
        density: d, in (0, 1].
        generator: On the CPU; it is advanced.
    """
    return _draw(torch.full_like(vector, density), generator)


def drawn_by_rank(
    vector: Tensor, density: float, spread: float, generator: torch.Generator
) -> Tensor:
    """Mask in which greater elements have a better chance.

    Args:
        vector: δ; rows run along its second dimension, and a vector is one row.
        density: d, the mean chance of a row.
        spread: ε; d − ε and d + ε must lie in [0, 1].
        generator: On the CPU; it is advanced.
    """
    rows = vector if vector.dim() > 1 else vector.reshape(1, -1)
    ranks = rows.abs().argsort(dim=1).argsort(dim=1) / max(rows.shape[1] - 1, 1)
    return _draw(density + spread * (2 * ranks - 1), generator).view_as(vector)


def rescaled(vector: Tensor, mask: Tensor) -> Tensor:
    """What a mask leaves, scaled to the L1 norm of the whole; a norm near 0 is left as it is."""
    kept = vector * mask
    before, after = vector.abs().sum(), kept.abs().sum()
    if min(float(before), float(after)) < _SMALL_NORM:
        return kept
    return kept * (before / after)


def generator_for(name: str) -> torch.Generator:
    """A fresh generator for a tensor; the experts' masks are drawn from it one after the other."""
    digest = hashlib.blake2b(f"{_SEED} {name}".encode(), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest))


def _n_kept(vector: Tensor, density: float) -> int:
    return max(1, int(density * vector.numel()))


def _mask_at(vector: Tensor, places: Tensor) -> Tensor:
    mask = torch.zeros(vector.numel(), dtype=torch.bool, device=vector.device)
    mask[places] = True
    return mask.view_as(vector)


def _draw(chances: Tensor, generator: torch.Generator) -> Tensor:
    return torch.bernoulli(chances.cpu(), generator=generator).bool().to(chances.device)
