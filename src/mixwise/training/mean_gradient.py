"""An optimiser that does not move: it averages gradients and their squares over the steps of a run.

Notation:
    g_b: gradient of a batch at the base.  g = mean g_b, v = mean g_b², one value per parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class MeanGradient(torch.optim.Optimizer):
    """Sums g_b and g_b² in its state, which a trainer's snapshots hold, and leaves parameters.

    Args:
        params: Parameters, or groups of them.
        lr: Of no effect: schedulers of learning rates want one.
    """

    def __init__(self, params: Iterable[Any], lr: float = 0.0) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Add the gradients of one batch."""
        assert closure is None, "a trainer gives none"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["sum"] = torch.zeros_like(parameter, dtype=torch.float32)
                    state["squares"] = torch.zeros_like(parameter, dtype=torch.float32)
                gradient = parameter.grad.float()
                state["sum"] += gradient
                state["squares"] += gradient * gradient

    def means(
        self, named: Mapping[str, Tensor], n_batches: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Mean gradient and mean square by name; a batch without a gradient counts as zero.

        Args:
            named: Parameters by name; those that no batch reached are left out.
            n_batches: How many batches were added.

        Returns:
            g and v, on the CPU.
        """
        reached = {name: self.state[p] for name, p in named.items() if self.state.get(p)}

        def mean(key: str) -> dict[str, Tensor]:
            return {
                name: (state[key] / n_batches).cpu().contiguous() for name, state in reached.items()
            }

        return mean("sum"), mean("squares")
