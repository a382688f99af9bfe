"""Rounding of float32 values to the live model's dtype, by chance where that must not be lost.

Notation:
    x: a value.  u: spacing of the target dtype at x.  z: uniform in [0, 1).

Method:
    q(x) = u ⌊x/u + z⌋, so that E q(x) = x: a task vector below half a spacing, which rounding to
    nearest would drop, survives in the mean. z depends on the tensor's name and the element alone:
    every candidate meets the same z, elements that do not differ between two candidates round
    alike, and the variance of their difference falls with the difference (common random numbers).

Source:
    Croci et al. 2022, "Stochastic rounding: implementation, error analysis and applications"
    (Royal Society Open Science 9, 211631), Definition 2.1.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_EXPONENT_BITS = 0x7F800000  # of a float32: alone, they read as 2^⌊log₂ |x|⌋


def round_stochastically(
    values: Tensor, dtype: torch.dtype, name: str, start: int, *, seed: int = 0
) -> Tensor:
    """Round to a coarser dtype without bias.

    Args:
        values: float32, at most one chunk of a tensor, any shape.
        dtype: The dtype that the result can be cast to without loss: bfloat16 or float16.
        name: Name of the tensor that the values are of; seeds z.
        start: First element of the chunk in the flattened tensor; seeds z.
        seed: One draw of z for a whole model; a mean over draws is closer to the truth.

    Returns:
        float32 values on the grid of ``dtype``.
    """
    key = hashlib.blake2b(f"{name}\0{start}\0{seed}".encode(), digest_size=7).digest()
    generator = torch.Generator(values.device).manual_seed(int.from_bytes(key))
    z = torch.rand(values.shape, generator=generator, device=values.device)
    step = spacing(values, dtype)
    return z.add_(values / step).floor_().mul_(step)


def spacing(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Distance of the numbers of a dtype at each value (its unit in the last place).

    Args:
        values: float32, contiguous, any shape.
        dtype: bfloat16, float16 or float32.

    Returns:
        float32, the shape of the values.

    Example:
        >>> spacing(torch.tensor([1.0, -3.0, 0.1]), torch.float16) * 1024
        tensor([1.0000, 2.0000, 0.0625])
    """
    facts = torch.finfo(dtype)
    powers_of_two = values.view(torch.int32).bitwise_and(_EXPONENT_BITS).view(torch.float32)
    return powers_of_two.mul_(facts.eps).clamp_(min=facts.smallest_normal * facts.eps)
