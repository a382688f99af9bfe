"""Devices that a study may run on elsewhere: what they compute, hold and move.

Notation:
    FLOP/s: dense, without the doubling by sparsity.  float32: outside of tensor cores, as PyTorch
    multiplies unless it is told otherwise.

Source:
    Data sheets of the makers: NVIDIA B200 (HGX), H200, H100 (SXM), A100 80 GB (SXM), L40S, L4, A10,
    and the architecture white papers of GeForce RTX 5090 (Blackwell), 4090 (Ada) and 3090 (Ampere),
    with float32 accumulation; AMD Instinct MI300X. Links to the host: PCIe 5.0 or 4.0 with 16
    lanes, in one direction.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mixwise.errors import RecipeError, nearest, printable

_TERA, _GIGA = 1e12, 1e9
_MOST_DEVICES = 1_000_000
_SHAPE = re.compile(r"\s*(\d{1,7})\s*[×xX*]\s*([A-Za-z][\w.-]{0,30})\s*")


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator.

    Args:
        name: Its name in ``--on``.
        bfloat16_flops: FLOP/s at most.
        float32_flops: The same.
        memory_bytes: What it holds.
        memory_bandwidth: Bytes a second that it reads of that.
        link_bandwidth: Bytes a second that it reads of the host's memory.
    """

    name: str
    bfloat16_flops: float
    float32_flops: float
    memory_bytes: float
    memory_bandwidth: float
    link_bandwidth: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """Equal devices that share a disk.

    Args:
        n_devices: How many.
        device: Of what kind.
    """

    n_devices: int
    device: Device

    def __str__(self) -> str:
        return f"{self.n_devices:,}×{self.device.name}"


def _device(
    name: str, bfloat16: float, float32: float, memory: float, bandwidth: float, link: float
) -> Device:
    """TFLOP/s, TFLOP/s, GB, GB/s, GB/s."""
    return Device(
        name, bfloat16 * _TERA, float32 * _TERA, memory * _GIGA, bandwidth * _GIGA, link * _GIGA
    )


DEVICES: Mapping[str, Device] = {
    device.name: device
    for device in (
        _device("B200", 2250, 75, 180, 7700, 64),
        _device("H200", 989, 67, 141, 4800, 64),
        _device("H100", 989, 67, 80, 3350, 64),
        _device("A100", 312, 19.5, 80, 2039, 32),
        _device("MI300X", 1307, 163.4, 192, 5300, 64),
        _device("L40S", 362, 91.6, 48, 864, 32),
        _device("L4", 121, 30.3, 24, 300, 32),
        _device("A10", 125, 31.2, 24, 600, 32),
        _device("RTX5090", 209.5, 104.8, 32, 1792, 64),
        _device("RTX4090", 165.2, 82.6, 24, 1008, 32),
        _device("RTX3090", 71, 35.6, 24, 936, 32),
    )
}


def parse_fleet(text: str) -> Fleet:
    """Read how many devices of which kind.

    Args:
        text: Such as ``64×H100`` or ``8xA100``.

    Raises:
        RecipeError: If it is no such thing, there are none, or the kind is not in the table.

    Example:
        >>> str(parse_fleet("64xh100"))
        '64×H100'
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise RecipeError(
            f"`--on` must be a number of devices and their kind, but got `{printable(text, 80)}`: "
            "write it as `8xH100`"
        )
    n_devices, name = int(shape[1]), shape[2].upper()
    if not 0 < n_devices <= _MOST_DEVICES:
        raise RecipeError(
            f"`--on` must name 1 to {_MOST_DEVICES:,} devices, but got {n_devices:,}: change it"
        )
    if name not in DEVICES:
        raise RecipeError(f"`--on`: no device `{name}` is known: {nearest(name, DEVICES)}")
    return Fleet(n_devices, DEVICES[name])


def require_price(price_per_hour: float | None, on: str | None) -> None:
    """Refuse what is no price of devices that are named.

    Args:
        price_per_hour: Of one device, in whatever money; None where it is not known.
        on: The devices.

    Raises:
        RecipeError: If it is negative or not finite, or no devices are named.
    """
    if price_per_hour is None:
        return
    if not 0 <= price_per_hour < math.inf:
        raise RecipeError(
            f"`--price-per-hour` must be 0 or more, and finite, but is {price_per_hour:g}: give "
            "what one device costs in an hour"
        )
    if on is None:
        raise RecipeError("`--price-per-hour` is that of a device: name them by `--on`")
