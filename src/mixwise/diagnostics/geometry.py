"""Size and angles of task vectors.

Notation:
    θ₀: base.  δᵢ = θᵢ − θ₀: task vector of expert i, over all tensors.

Method:
    relative size ‖δᵢ‖ / ‖θ₀‖ and cosine ⟨δᵢ, δⱼ⟩ / (‖δᵢ‖ ‖δⱼ‖), summed tensor by tensor in float64.
    One tensor of every expert is in memory at a time.

Source:
    Ilharco et al. 2022 (arXiv 2212.04089); Wang et al. 2026 (arXiv 2601.17858) for the cosines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixwise.merging.experts import ExpertPool


@dataclass(frozen=True, slots=True)
class Geometry:
    """Task vectors of a pool of experts.

    Args:
        domains: Names, in the study's order.
        relative_sizes: ‖δᵢ‖ / ‖θ₀‖.
        cosines: Symmetric matrix of cosines, 1 on the diagonal.
    """

    domains: tuple[str, ...]
    relative_sizes: tuple[float, ...]
    cosines: tuple[tuple[float, ...], ...]


def measure_geometry(pool: ExpertPool) -> Geometry:
    """Measure sizes and cosines of the task vectors.

    Args:
        pool: The experts.
    """
    domains = tuple(pool.experts)
    gram = np.zeros((len(domains), len(domains)))
    base_square = 0.0
    for name in pool.live.tensors:
        deltas = _stack(pool, name)
        gram += deltas @ deltas.T
        base = pool.base_tensor(name).float().numpy().ravel().astype(np.float64)
        base_square += float(base @ base)
    norms = np.sqrt(np.diag(gram))
    safe = np.where(norms > 0, norms, 1.0)
    cosines = gram / np.outer(safe, safe)
    return Geometry(
        domains,
        tuple((norms / np.sqrt(base_square)).tolist()),
        tuple(tuple(row) for row in cosines.tolist()),
    )


def _stack(pool: ExpertPool, name: str) -> np.ndarray:
    """δ of one tensor for every expert, shape ``(n_experts, n_elements)``; 0 where it has none."""
    vectors = pool.task_vectors.values()
    n_elements = pool.live.tensors[name].numel()
    rows = [
        vector.load(name).cpu().numpy().ravel() if name in vector else np.zeros(n_elements)
        for vector in vectors
    ]
    return np.stack(rows).astype(np.float64)
