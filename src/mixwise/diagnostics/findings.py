"""What is found of task vectors, as values: sizes, cosines, and how they grew.

Notation: as in `geometry`, which measures them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Task vectors restricted to one block of the model.

    Args:
        name: ``layer K``, ``embedding``, ``head`` or ``rest``.
        relative_sizes: ‖δᵢ‖ / ‖θ₀‖, both over the block.
        cosines: Symmetric matrix of cosines; 0 where an expert leaves the block as it is.
    """

    name: str
    relative_sizes: tuple[float, ...]
    cosines: Matrix


@dataclass(frozen=True, slots=True)
class Geometry:
    """Task vectors of a pool of experts.

    Args:
        domains: Names, in the study's order.
        relative_sizes: ‖δᵢ‖ / ‖θ₀‖.
        cosines: Symmetric matrix of cosines, 1 on the diagonal.
        blocks: The same by block, in the model's order.
    """

    domains: tuple[str, ...]
    relative_sizes: tuple[float, ...]
    cosines: Matrix
    blocks: tuple[Block, ...]

    @property
    def mean_cosine(self) -> float:
        """Mean cosine of two different experts; 0 for a single one."""
        return mean_between(np.array(self.cosines))


@dataclass(frozen=True, slots=True)
class TrajectoryPoint:
    """Task vectors part of the way.

    Args:
        step: Optimiser steps done.
        relative_sizes: ‖δᵢ(t)‖ / ‖θ₀‖.
        progress: ‖δᵢ(t)‖ / ‖δᵢ‖.
        alignment: cos(δᵢ(t), δᵢ).
        mean_cosine: Mean cosine of two different experts at that step.
    """

    step: int
    relative_sizes: tuple[float, ...]
    progress: tuple[float, ...]
    alignment: tuple[float, ...]
    mean_cosine: float


def mean_between(cosines: Array) -> float:
    """Mean of the entries off the diagonal."""
    n = len(cosines)
    return float((cosines.sum() - np.trace(cosines)) / (n * (n - 1))) if n > 1 else 0.0
