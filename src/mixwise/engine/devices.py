"""What this machine has to run on."""

from __future__ import annotations

import os

from mixwise.errors import ResourceError


def n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_device(wanted: str) -> str:
    """Resolve ``auto`` to the best device there is: CUDA, then Apple's MPS, then the CPU.

    Raises:
        ResourceError: If a device is asked for that this machine does not have.
    """
    import torch

    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(device for device, is_there in has.items() if is_there)
    if not has[wanted]:
        raise ResourceError(
            f"`training.device` is `{wanted}`, but this machine has none that torch can use: "
            "choose `auto`"
        )
    return wanted
