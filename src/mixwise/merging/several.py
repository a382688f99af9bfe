"""Some tensors of a model, merged for several mixtures in one pass over the task vectors.

Notation:
    θ₀: a tensor of the base.  δₖ: vector k of the pool, n of them.  W: merge weights of K mixtures,
    ``(K, n)``.  Δ: a piece of the vectors, ``(n, n_elements)``.

Method:
    Each piece of a vector is read once, and θ₀ + W Δ is a small matrix product; a rule that has no
    merge weights combines the whole tensors, once per mixture.

Departures:
    Values below float32 are rounded to nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LinearRule, MergeRule, TensorRule
from mixwise.merging.task_vectors.encoding import BLOCK
from mixwise.merging.task_vectors.task_vector import load_all
from mixwise.mixture import Mixture
from mixwise.models.chunks import chunk_elements

if TYPE_CHECKING:
    from torch import Tensor

_SCRATCH = 1 << 26  # elements of all experts that are merged at a time


def merge_tensors(
    pool: ExpertPool, rule: MergeRule, mixtures: Sequence[Mixture], names: Sequence[str]
) -> tuple[dict[str, Tensor], ...]:
    """Merge some tensors for several mixtures in one pass over the task vectors.

    Args:
        pool: The experts; its live model is a skeleton's.
        rule: How merge weights or tensors follow from the shares.
        mixtures: K mixtures of the pool's domains.
        names: Canonical names of the tensors.

    Returns:
        Of each mixture, its tensors by name, in the live dtype, on the live device.
    """
    merged = {name: _merge(pool, rule, mixtures, name) for name in names}
    return tuple({name: merged[name][k] for name in names} for k in range(len(mixtures)))


@torch.no_grad()
def _merge(
    pool: ExpertPool, rule: MergeRule, mixtures: Sequence[Mixture], name: str
) -> Sequence[Tensor]:
    live, base = pool.live.tensors[name], pool.base_tensor(name)
    touched = [k for k, vector in enumerate(pool.vectors) if name in vector]
    if not touched:
        return [base.to(live.device, live.dtype)] * len(mixtures)
    if isinstance(rule, TensorRule):
        return _combine(pool, rule, mixtures, name)
    weights = _merge_weights(pool, rule, mixtures)[:, touched].to(live.device)
    merged = torch.empty(len(mixtures), live.numel(), dtype=live.dtype, device=live.device)
    chunk = min(chunk_elements(live.device), _SCRATCH // len(touched) // BLOCK * BLOCK)
    for start in range(0, live.numel(), chunk):
        part = base.view(-1)[start : start + chunk].to(live.device, torch.float32)
        deltas = torch.zeros(len(touched), len(part), device=live.device)
        for delta, k in zip(deltas, touched, strict=True):
            pool.vectors[k].add_to(delta, name, 1.0, start=start)
        merged[:, start : start + chunk] = torch.addmm(part, weights, deltas)
    return merged.view(-1, *live.shape).unbind()


def _merge_weights(pool: ExpertPool, rule: LinearRule, mixtures: Sequence[Mixture]) -> Tensor:
    """Merge weight of every vector in every mixture, shape ``(K, n_vectors)``, float32."""
    return torch.stack([rule.coefficients(pool.shares(mixture)) for mixture in mixtures]).float()


def _combine(
    pool: ExpertPool, rule: TensorRule, mixtures: Sequence[Mixture], name: str
) -> list[Tensor]:
    live = pool.live.tensors[name]
    base = pool.base_tensor(name).to(live.device, torch.float32)
    deltas = load_all(pool.vectors, name)
    merged = []
    for mixture in mixtures:
        shares = pool.shares(mixture).to(live.device, torch.float32)
        delta = rule.combine(name, deltas, shares)
        merged.append((base + delta).to(live.dtype))
    return merged
