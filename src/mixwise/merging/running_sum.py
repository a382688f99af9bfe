"""Plain averages of subsets: sums of task vectors in whole numbers, of which neighbours share most.

Notation:
    S: the experts of a subset, all with the same merge weight w.  Δ: experts in which two subsets
    differ.  δᵢ: task vector of expert i, of N.  s: step of a tensor's grid, a power of 2.

Method:
    σ = Σ_{i∈S} round(δᵢ / s) is a sum of 32-bit whole numbers, so it does not depend on the order
    in which experts came and went: there is no drift, and a subset has the same bits whichever
    subset came before it, in whichever worker. Written is θ₀ + w s σ. With s the largest |δ| of the
    tensor's N experts times N / 2³⁰ (rounded up to a power of 2), σ cannot overflow, and an element
    is off by less than N / 2³⁰ of that largest one.

    σ of the whole model is kept between neighbours, where it pays: passes over the model are then
    |Δ| + 4 (each of Δ, σ read and written, the base, the live model), against |S| + 2 for a new
    sum. So it pays when |Δ| + 2 < |S|: in Gray-code order, where |Δ| = 1, from subsets of 4 on.
    It costs the memory of σ, and is not begun before two subsets in a row are such neighbours.

Source:
    Tao et al. 2025 (arXiv 2505.16066) scores all subsets; Gray 1953 (US patent 2632058).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from mixwise.merging.task_vectors.task_vector import TaskVector
from mixwise.models.chunks import chunks
from mixwise.models.live_model import LiveModel

if TYPE_CHECKING:
    from torch import Tensor

_LARGEST_SUM = 2**30


class RunningSum:
    """Sums of the task vectors of subsets, made from the one before where that is cheaper.

    Args:
        live: The live model.
        task_vectors: What each expert adds to the base, by domain.
    """

    def __init__(self, live: LiveModel, task_vectors: Mapping[str, TaskVector]) -> None:
        self._live = live
        self._task_vectors = task_vectors
        self._last: Set[str] = frozenset()
        self._summed: Set[str] = frozenset()
        self._sums: dict[str, Tensor] = {}

    @torch.no_grad()
    def write(self, subset: Set[str], merge_weight: float) -> None:
        """Write θ₀ + w Σ δᵢ into the live model.

        Args:
            subset: Domains of the sum.
            merge_weight: w, the same for all.
        """
        is_kept = self._pays(subset)
        if is_kept and not self._sums:
            self._summed = frozenset()
            self._sums = {
                name: torch.zeros(self._live.tensors[name].numel(), dtype=torch.int32, device=d)
                for name, d in ((n, self._live.tensors[n].device) for n in self._steps)
            }
        before = self._summed if is_kept else frozenset()
        signs = {domain: 1 if domain in subset else -1 for domain in subset ^ before}
        sums, self._sums = self._sums, {}  # half a change is none: an interrupted σ is not kept
        for name in self._live.tensors:
            if name in self._steps:
                self._write_tensor(name, signs, merge_weight, sums if is_kept else {})
            else:
                self._live.write(name, self._live.base_tensor(name))
        self._sums = sums
        self._last = frozenset(subset)
        self._summed = self._last if is_kept else self._summed

    def _pays(self, subset: Set[str]) -> bool:
        """Whether a subset is close enough to the one that σ holds, or would hold."""
        before = self._summed if self._sums else self._last
        return len(before ^ subset) + 2 < len(subset)

    def _write_tensor(
        self, name: str, signs: Mapping[str, int], merge_weight: float, sums: Mapping[str, Tensor]
    ) -> None:
        step, device = self._steps[name], self._live.tensors[name].device
        for start, part in chunks(self._live.base_tensor(name), device):
            n = part.numel()
            running = sums[name][start : start + n] if name in sums else None
            if running is None:
                running = torch.zeros(n, dtype=torch.int32, device=device)
            for domain, sign in signs.items():
                if name in self._task_vectors[domain]:
                    running.add_(self._scaled(domain, name, start, n).to(torch.int32), alpha=sign)
            total = part.to(device, torch.float32, copy=True)
            self._live.write(name, total.add_(running, alpha=step * merge_weight), start=start)

    def _scaled(self, domain: str, name: str, start: int, n: int) -> Tensor:
        """round(δ / s) of a run of elements."""
        scaled = torch.zeros(n, device=self._live.tensors[name].device)
        self._task_vectors[domain].add_to(scaled, name, 1 / self._steps[name], start=start)
        return scaled.round_()

    @cached_property
    def _steps(self) -> dict[str, float]:
        """S of each tensor that an expert changes, from one pass over all of them."""
        largest = dict.fromkeys(self._live.tensors, 0.0)
        for vector in self._task_vectors.values():
            for name, live in self._live.tensors.items():
                if name not in vector or not live.is_floating_point():
                    continue
                for start, part in chunks(self._live.base_tensor(name), live.device):
                    delta = torch.zeros(part.numel(), device=live.device)
                    vector.add_to(delta, name, 1.0, start=start)
                    largest[name] = max(largest[name], float(delta.abs().max()))
        n = len(self._task_vectors)
        return {
            name: 2.0 ** math.ceil(math.log2(peak * n / _LARGEST_SUM))
            for name, peak in largest.items()
            if peak
        }
