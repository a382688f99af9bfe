"""Inner products of task vectors: of one tensor, all pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from mixwise.merging.task_vectors.task_vector import TaskVector
from mixwise.models.chunks import chunks

if TYPE_CHECKING:
    from torch import Tensor


def inner_products(
    vectors: Sequence[TaskVector], name: str, base: Tensor, device: torch.device
) -> Tensor:
    """⟨δₖ, δₗ⟩ of one tensor, summed in double.

    Args:
        vectors: Of experts of one base.
        name: Canonical name of the tensor.
        base: The base's tensor, which tells how large it is.
        device: Where the work is done.

    Returns:
        Shape ``(n_vectors, n_vectors)``, float64, on the CPU; 0 where an expert leaves the tensor
        as it is.
    """
    total = torch.zeros(len(vectors), len(vectors), dtype=torch.float64)
    known = [k for k, vector in enumerate(vectors) if name in vector]
    where = torch.tensor(known, dtype=torch.int64)
    for start, part in chunks(base, device) if known else ():
        deltas = torch.zeros(len(known), part.numel(), device=device)
        for delta, k in zip(deltas, known, strict=True):
            vectors[k].add_to(delta, name, 1.0, start=start)
        exact = deltas.double()
        total[where[:, None], where] += (exact @ exact.T).cpu()
    return total
