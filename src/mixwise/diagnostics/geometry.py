"""Size and angles of task vectors.

Notation:
    θ₀: base.  δᵢ = θᵢ − θ₀: task vector of expert i, over all tensors.

Method:
    relative size ‖δᵢ‖ / ‖θ₀‖ and cosine ⟨δᵢ, δⱼ⟩ / (‖δᵢ‖ ‖δⱼ‖), summed tensor by tensor in float64.
    Every expert is in memory once, in float32; adapters are merged as they are read.

Source:
    Ilharco et al. 2022 (arXiv 2212.04089); Wang et al. 2026 (arXiv 2601.17858) for the cosines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixwise.merging.experts import ExpertPool
from mixwise.merging.rules import RULES
from mixwise.mixture import Mixture


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
        pool: The experts; their live model is overwritten.
    """
    domains = tuple(pool.experts)
    stored = pool.live.match(pool.live.base)
    flat: list[dict[str, np.ndarray]] = []
    for name in domains:
        pool.merge(Mixture.single(domains, name), RULES["linear"])
        flat.append(
            {
                key: tensor.detach().float().cpu().numpy().ravel().copy()
                for key, tensor in pool.live.tensors.items()
            }
        )
    gram = np.zeros((len(domains), len(domains)))
    base_square = 0.0
    for key, stored_name in stored.items():
        base = pool.live.base.load_tensor(stored_name).float().numpy().ravel().astype(np.float64)
        deltas = np.stack([tensors[key] - base for tensors in flat])
        gram += deltas @ deltas.T
        base_square += float(base @ base)
    norms = np.sqrt(np.diag(gram))
    safe = np.where(norms > 0, norms, 1.0)
    cosines = gram / np.outer(safe, safe)
    return Geometry(
        domains,
        tuple((norms / np.sqrt(base_square)).tolist()),
        tuple(tuple(row) for row in cosines.tolist()),
    )
