"""Running statistics of batch norm, measured anew for a model whose weights are a merge.

Notation:
    μ_b, σ²_b: mean and unbiased variance of what a layer is given in batch b, of each channel.
    B: batches.

Method:
    Statistics of a merge are not the merge of statistics: what a layer is given depends on all
    weights before it. In training mode each layer normalises by its own batch, and its running
    statistics become the plain averages of μ_b and σ²_b over the B batches; everything else stays
    as in evaluation.

Source:
    Izmailov et al. 2018 (arXiv 1803.05407), §3.2, who do so after averaging weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from torch import Tensor, nn

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def has_running_statistics(names: Iterable[str]) -> bool:
    """Whether tensors of a checkpoint by these names are batch norm's running statistics."""
    return any(name.rpartition(".")[2] == "running_var" for name in names)


def running_norms(module: nn.Module) -> dict[str, _BatchNorm]:
    """The layers that keep running statistics, by name."""
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, _BatchNorm) and layer.running_var is not None
    }


def statistics_names(module: nn.Module) -> frozenset[str]:
    """Names of all running statistics and their counters in the module's state."""
    return frozenset(
        f"{name}.{statistic}" if name else statistic
        for name in running_norms(module)
        for statistic in _STATISTICS
    )


@torch.no_grad()
def estimate_statistics(module: Any, batches: Iterable[Mapping[str, Tensor]]) -> None:
    """Measure the running statistics of a module on batches of its inputs.

    Args:
        module: In evaluation mode, in which it is left.
        batches: Arguments of the module, B of them, in an order that decides nothing but rounding.
    """
    with _measuring(module):
        for batch in batches:
            module(**batch)


@contextmanager
def _measuring(module: nn.Module) -> Iterator[None]:
    norms = running_norms(module).values()
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's way to ask for plain averages
            norm.train()
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
