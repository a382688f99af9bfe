"""Tensors in runs of elements that stay in a cache while the experts pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CPU_ELEMENTS = 1 << 18  # 1 MB of float32: a core's own cache, and few calls
_DEVICE_ELEMENTS = 1 << 22  # 16 MB: the second-level cache of a data-centre GPU, and few launches


def chunk_elements(device: torch.device) -> int:
    """Elements that are merged, rounded and written at a time on a device; a power of 2."""
    return _CPU_ELEMENTS if device.type == "cpu" else _DEVICE_ELEMENTS


def chunks(values: Tensor, device: torch.device) -> Iterator[tuple[int, Tensor]]:
    """Cut a contiguous tensor for work on a device.

    Yields:
        First element of each chunk in the flattened tensor, and the chunk, a view.
    """
    n_elements = chunk_elements(device)
    flat = values.view(-1)
    for start in range(0, flat.numel(), n_elements):
        yield start, flat[start : start + n_elements]
