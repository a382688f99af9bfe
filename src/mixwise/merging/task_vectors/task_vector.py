"""Task vectors: what an expert adds to the base, tensor by tensor.

Notation:
    θ₀, θᵢ: a tensor of the base and of expert i.  δᵢ = θᵢ − θ₀, float32.

Method:
    Merge rules, slopes and geometry ask a task vector for three things only: a tensor of it, itself
    added to a running total, and its product with a gradient. Where the numbers lie (two
    checkpoints, a store on disk, the memory of an accelerator, two low-rank factors) is its own
    affair. `DirectTaskVector` is the slow and obvious one, by which the others are judged.

Source:
    Ilharco et al. 2022 (arXiv 2212.04089).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch

from mixwise.models.checkpoint import Checkpoint
from mixwise.models.live_model import LiveModel

if TYPE_CHECKING:
    from torch import Tensor


class TaskVector(Protocol):
    """δ of one expert, by canonical tensor name of the live model.

    Names that it does not contain are tensors that the expert leaves as they are in the base.
    Where a method takes a part of a tensor, it is a run of elements of the flattened tensor that
    begins at a multiple of 128.
    """

    @property
    def fingerprint(self) -> str:
        """Hash of all that the numbers depend on."""
        ...

    def __contains__(self, name: str) -> bool: ...

    def load(self, name: str) -> Tensor:
        """δ of one tensor: float32, in its shape, on its live device; not to be written to."""
        ...

    def add_to(self, total: Tensor, name: str, share: float, *, start: int = 0) -> None:
        """Add share · δ to a running total.

        Args:
            total: float32, contiguous: the whole tensor, or a part of it.
            name: Canonical name of the tensor.
            share: What δ is multiplied with.
            start: First element of the part.
        """
        ...

    def dot(self, name: str, gradient: Tensor, *, start: int = 0) -> float:
        """⟨δ, gradient⟩ of one tensor or of a part of it; the sum over chunks is in double.

        Args:
            name: Canonical name of the tensor.
            gradient: Contiguous: of the whole tensor, or of a part of it.
            start: First element of the part.
        """
        ...


class DirectTaskVector:
    """δ of a full expert, taken from the two checkpoints each time it is asked for.

    Args:
        live: The live model of the base.
        checkpoint: The expert.

    Raises:
        CheckpointError: If the expert doesn't fit the base; the text names the first tensor.
    """

    def __init__(self, live: LiveModel, checkpoint: Checkpoint) -> None:
        self._live = live
        self._checkpoint = checkpoint
        self._names = live.match(checkpoint)

    @property
    def fingerprint(self) -> str:
        """Hash of the two checkpoints."""
        return fingerprint_of(self._live.base, self._checkpoint, "direct")

    def __contains__(self, name: str) -> bool:
        return self._live.tensors[name].is_floating_point()

    def part(self, name: str, start: int, n: int) -> Tensor:
        """At most n elements of a flattened δ, float32, on the CPU."""
        expert = self._checkpoint.load_tensor(self._names[name]).view(-1)[start : start + n]
        base = self._live.base_tensor(name).view(-1)[start : start + n]
        return expert.float() - base.float()

    def load(self, name: str) -> Tensor:
        """See `TaskVector.load`."""
        live = self._live.tensors[name]
        return self.part(name, 0, live.numel()).view(live.shape).to(live.device)

    def add_to(self, total: Tensor, name: str, share: float, *, start: int = 0) -> None:
        """See `TaskVector.add_to`."""
        part = self.part(name, start, total.numel()).to(total.device)
        total.view(-1).add_(part, alpha=share)

    def dot(self, name: str, gradient: Tensor, *, start: int = 0) -> float:
        """See `TaskVector.dot`."""
        part = self.part(name, start, gradient.numel()).to(gradient.device)
        return float(torch.dot(part.double(), gradient.view(-1).double()))


def fingerprint_of(base: Checkpoint, expert: Checkpoint, storage: str) -> str:
    """Hash of the checkpoints behind a task vector and of the way in which it is stored."""
    parts = "\0".join([base.fingerprint, expert.fingerprint, storage])
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def load_all(vectors: Sequence[TaskVector], name: str) -> list[Tensor]:
    """One tensor of every vector, zeros where a vector leaves it as it is in the base.

    Args:
        vectors: The vectors; at least one contains the tensor.
        name: Canonical name of the tensor.
    """
    loaded = {k: vector.load(name) for k, vector in enumerate(vectors) if name in vector}
    zeros = torch.zeros_like(next(iter(loaded.values())))
    return [loaded.get(k, zeros) for k in range(len(vectors))]
