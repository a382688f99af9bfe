"""How many tensors an expert moved away from the base, and about how far.

Notation:
    θ₀, θᵢ: a tensor of the base and of expert i.  δᵢ = θᵢ − θ₀, float32.

Method:
    A tensor has not moved if it equals the base's, rounded to the dtype that the expert was saved
    in. A tensor is read up to the first chunk that moved; ‖δᵢ‖ is estimated from these chunks, each
    taken for its whole tensor. For an adapter ‖δᵢ‖ is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mixwise.errors import CheckpointError
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.chunks import chunks
from mixwise.models.live_model import LiveModel

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Movement:
    """What of an expert moved.

    Args:
        n_matrices: Floating-point tensors of the base with two or more dimensions.
        unmoved: Canonical names of those that are as in the base; always empty for an adapter,
            which says itself what it leaves alone.
        norm: About ‖δ‖ over all tensors.
    """

    n_matrices: int
    unmoved: tuple[str, ...]
    norm: float


def require_moved(live: LiveModel, checkpoint: Checkpoint) -> None:
    """Refuse an expert that is the base; reads no further than to the first change.

    Args:
        live: The live model of the base.
        checkpoint: An expert that fits it.

    Raises:
        CheckpointError: If no tensor of it moved, or it is an adapter that adds zero.
    """
    if checkpoint.is_adapter:
        if LoraExpert(live, checkpoint).is_zero:
            raise CheckpointError(
                f"{checkpoint.folder}: the adapter adds zero to every weight of the base, as one "
                "that was never trained: save it after training, or train at a higher rate"
            )
        return
    stored = live.match(checkpoint)
    for name in live.tensors:
        if _moved_energy(live, checkpoint, name, stored[name]):
            return
    raise CheckpointError(
        f"{checkpoint.folder}: the expert equals the base in all {len(live.tensors)} tensors, so "
        "it learned nothing: save the trained weights (a merged adapter may never have been "
        "written), or train at a higher rate"
    )


def measure_movement(live: LiveModel, checkpoint: Checkpoint) -> Movement:
    """Count what an expert moved, and estimate how far.

    Args:
        live: The live model of the base.
        checkpoint: An expert that fits it.
    """
    if checkpoint.is_adapter:
        expert = LoraExpert(live, checkpoint)
        return Movement(len(expert.factors), (), expert.norm)
    stored = live.match(checkpoint)
    energies = {
        name: _moved_energy(live, checkpoint, name, stored[name])
        for name, tensor in live.tensors.items()
        if tensor.is_floating_point()
    }
    matrices = [name for name in energies if live.tensors[name].ndim >= 2]
    return Movement(
        len(matrices),
        tuple(name for name in matrices if not energies[name]),
        math.sqrt(math.fsum(energies.values())),
    )


def _moved_energy(live: LiveModel, checkpoint: Checkpoint, name: str, stored: str) -> float:
    """About ‖δ‖² of one tensor, from its first chunk that moved; 0 where none did."""
    theirs, ours = checkpoint.load_tensor(stored), live.base_tensor(name)
    flat = theirs.reshape(-1)
    for start, part in chunks(ours.reshape(-1), ours.device):
        mine = flat[start : start + part.numel()]
        if not torch.equal(part.to(mine.dtype), mine):
            return max(_energy(part, mine) * theirs.numel() / part.numel(), math.ulp(0.0))
    return 0.0


def _energy(base: Tensor, expert: Tensor) -> float:
    energy = float((expert.float() - base.float()).double().square().sum())
    return energy if math.isfinite(energy) else math.inf
