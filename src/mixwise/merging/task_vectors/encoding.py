"""How the numbers of a task vector are written down: float32, bfloat16, or 8 bits with scales.

Notation:
    x: block of 128 neighbouring elements of a flattened tensor.  s = max |x| / 127: its scale.

Method:
    int8: q = round(x / s), decoded as s·q; the error of an element is at most s/2. An outlier
    spoils the block that it is in and no other.

Source:
    Dettmers et al. 2022, block-wise quantisation (arXiv 2110.02861), section 2.1.

Departures:
    The grid is uniform instead of dynamic: deltas have no long tail within a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 128
StorePrecision = Literal["float32", "bfloat16", "int8"]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Stored numbers of one flattened tensor, or of a part of it.

    Args:
        deltas: float32, bfloat16 or int8, shape ``(n,)``, padded with zeros to whole blocks.
        scales: s of each block, float32, shape ``(n / 128,)``; None where there are none.
    """

    deltas: Tensor
    scales: Tensor | None

    @property
    def n_bytes(self) -> int:
        """Size in bytes."""
        return self.deltas.nbytes + (0 if self.scales is None else self.scales.nbytes)

    def part(self, start: int, n: int) -> Encoded:
        """Elements from ``start``, a multiple of 128, in as many whole blocks as ``n`` need."""
        n_blocks = -(-n // BLOCK)
        first = start // BLOCK
        scales = None if self.scales is None else self.scales[first : first + n_blocks]
        return Encoded(self.deltas[start : start + n_blocks * BLOCK], scales)

    def to(self, device: torch.device) -> Encoded:
        """The same on a device."""
        scales = None if self.scales is None else self.scales.to(device)
        return Encoded(self.deltas.to(device), scales)

    def decode(self) -> Tensor:
        """Float32 values, shape ``(n,)``; stored float32 itself, not a copy."""
        values = self.deltas.float()
        if self.scales is None:
            return values
        return values.view(-1, BLOCK).mul_(self.scales[:, None]).view(-1)

    def add_to(self, total: Tensor, share: float) -> None:
        """Add share · values to a flat float32 total; what pads its last block is left out."""
        whole = total.numel() // BLOCK * BLOCK
        if self.scales is None or whole < total.numel():
            is_cast_within = total.is_cuda and self.scales is None  # by the addition: a pass less
            values = self.deltas if is_cast_within else self.decode()
            total.add_(values[: total.numel()], alpha=share)
            return
        blocks = self.deltas.float().view(-1, BLOCK)  # one pass less than decoding first
        total.view(-1, BLOCK).addcmul_(blocks, self.scales[:, None], value=share)


def encode(values: Tensor, precision: StorePrecision) -> Encoded:
    """Write values down.

    Args:
        values: float32, finite, shape ``(n,)``.
        precision: How.
    """
    padded = torch.nn.functional.pad(values, (0, -values.numel() % BLOCK))
    if precision == "float32":
        return Encoded(padded, None)
    if precision == "bfloat16":
        return Encoded(padded.bfloat16(), None)
    blocks = padded.view(-1, BLOCK)
    scales = blocks.abs().amax(dim=1) / 127
    steps = torch.where(scales > 0, scales, 1.0)  # a block of zeros
    return Encoded((blocks / steps[:, None]).round_().to(torch.int8).view(-1), scales)
