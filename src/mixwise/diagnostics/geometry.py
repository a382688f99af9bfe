"""Size and angles of task vectors: whole, block by block, and along the experts' training.

Notation:
    θ₀: base.  δᵢ(t) = θᵢ(t) − θ₀: task vector of expert i after t steps, δᵢ at its end.

Method:
    relative size ‖δᵢ‖ / ‖θ₀‖ and cosine ⟨δᵢ, δⱼ⟩ / (‖δᵢ‖ ‖δⱼ‖), over all tensors or over those of a
    block, summed in float64. A block is a layer (the first number in a tensor's name), the
    embedding, the head, or the rest.

    Along the trajectory, progress ‖δᵢ(t)‖ / ‖δᵢ‖ and alignment cos(δᵢ(t), δᵢ) tell whether an
    expert walks straight on: to first order in the step size they are t/T and 1.

Source:
    Ilharco et al. 2022 (arXiv 2212.04089); Wang et al. 2026 (arXiv 2601.17858) for the cosines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mixwise.arrays import Array
from mixwise.diagnostics.findings import Block, Geometry, Matrix, TrajectoryPoint, mean_between
from mixwise.merging.pool import ExpertPool
from mixwise.merging.task_vectors.inner_products import inner_products
from mixwise.merging.task_vectors.task_vector import TaskVector
from mixwise.models.checkpoint import open_checkpoint

_PART = 1 << 20  # elements that are turned into float64 at a time
_NUMBER = re.compile(r"\.(\d+)\.")
_NAMED_BLOCKS = {
    "head": ("lm_head", "embed_out", "output"),
    "embedding": ("embed", "wte", "wpe"),
}


def measure_geometry(pool: ExpertPool) -> Geometry:
    """Measure sizes and cosines of the task vectors, whole and by block.

    Args:
        pool: The experts.
    """
    vectors = list(pool.task_vectors.values())
    grams: dict[str, Array] = {}
    base_squares: dict[str, float] = {}
    for name, live in pool.live.tensors.items():
        if live.is_floating_point() and name not in pool.kept:
            block = block_of(name)
            grams[block] = grams.get(block, 0.0) + _gram(pool, vectors, name)
            square = _square(pool.base_tensor(name))
            base_squares[block] = base_squares.get(block, 0.0) + square
    whole = sum(grams.values(), np.zeros((len(vectors), len(vectors))))
    return Geometry(
        tuple(pool.experts),
        _sizes(whole, sum(base_squares.values())),
        _cosines(whole),
        tuple(
            Block(block, _sizes(gram, base_squares[block]), _cosines(gram))
            for block, gram in grams.items()
        ),
    )


def measure_trajectory(pool: ExpertPool, folders: Mapping[str, Path]) -> Iterator[TrajectoryPoint]:
    """Measure the task vectors of the checkpoints along the experts' runs.

    Args:
        pool: The experts at the end of their runs.
        folders: By domain, the folder whose folders are named after the steps.

    Yields:
        A point for each step at which every expert has a checkpoint, first steps first.
    """
    ends = list(pool.task_vectors.values())
    n, tensors = len(ends), pool.live.tensors
    base_square = sum(
        _square(pool.base_tensor(name))
        for name, t in tensors.items()
        if t.is_floating_point() and name not in pool.kept
    )
    for step in common_steps(list(folders.values())):
        experts = {d: open_checkpoint(folder / str(step)) for d, folder in folders.items()}
        starts = list(ExpertPool(pool.live, experts).task_vectors.values())
        gram = np.zeros((2 * n, 2 * n))
        for name, live in tensors.items():
            if live.is_floating_point() and name not in pool.kept:
                gram += _gram(pool, [*starts, *ends], name)
        cosines, sizes = np.array(_cosines(gram)), np.array(_sizes(gram, base_square))
        safe = np.where(sizes[n:] > 0, sizes[n:], 1.0)
        yield TrajectoryPoint(
            step,
            tuple(sizes[:n].tolist()),
            tuple((sizes[:n] / safe).tolist()),
            tuple(cosines[range(n), range(n, 2 * n)].tolist()),
            mean_between(cosines[:n, :n]),
        )


def block_of(name: str) -> str:
    """The block that a tensor belongs to, from its name.

    Example:
        >>> block_of("model.layers.3.mlp.up_proj.weight"), block_of("transformer.wte.weight")
        ('layer 3', 'embedding')
    """
    number = _NUMBER.search(name)
    if number:
        return f"layer {number[1]}"
    for block, words in _NAMED_BLOCKS.items():
        if any(word in name for word in words):
            return block
    return "rest"


def common_steps(folders: Sequence[Path]) -> tuple[int, ...]:
    """Steps at which every one of some trajectory folders holds a checkpoint."""
    if not folders or not all(folder.is_dir() for folder in folders):
        return ()
    found = [{int(p.name) for p in f.iterdir() if p.name.isdigit()} for f in folders]
    return tuple(sorted(set.intersection(*found)))


def _gram(pool: ExpertPool, vectors: Sequence[TaskVector], name: str) -> Array:
    """⟨δᵢ, δⱼ⟩ of one tensor."""
    device = pool.live.tensors[name].device
    return inner_products(vectors, name, pool.base_tensor(name), device).numpy()


def _square(tensor: torch.Tensor) -> float:
    """‖θ‖² of one tensor."""
    flat = tensor.reshape(-1)
    parts = (flat[k : k + _PART].double() for k in range(0, flat.numel(), _PART))
    return sum(float(part @ part) for part in parts)


def _sizes(gram: Array, base_square: float) -> tuple[float, ...]:
    return tuple(np.sqrt(np.diag(gram) / (base_square or 1.0)).tolist())


def _cosines(gram: Array) -> Matrix:
    norms = np.sqrt(np.diag(gram))
    safe = np.where(norms > 0, norms, 1.0)
    return tuple(tuple(row) for row in (gram / np.outer(safe, safe)).tolist())
