"""Neighbouring subsets: a running sum of task vectors, so that only what changed is touched.

Notation:
    S: the experts of a subset, all with the same merge weight w.  Δ: experts in which two subsets
    differ.  δᵢ: task vector of expert i.

Method:
    σ = Σ_{i∈S} δᵢ is kept in float32 for the whole model. From one subset to the next, the experts
    in Δ are added to or taken from σ, and θ₀ + wσ is written. Passes over the model: |Δ| + 4 (each
    of Δ, σ read and written, the base, the live model), against |S| + 2 for the sum itself. So a
    running sum pays when |Δ| + 2 < |S|: in Gray-code order, where |Δ| = 1, from subsets of 4 on.
    It costs the memory of σ, and is not begun before two subsets in a row are such neighbours.

    Each step rounds an element of σ once per changed expert, by at most 2⁻²⁴ of Σ |δᵢ|; after 256
    changes σ is summed anew. So the drift is below 256 · 2⁻²⁴ ≈ 1.5e-5 of Σ |δᵢ|, and a tenth of
    that in practice, since roundings cancel.

Source:
    Tao et al. 2025 (arXiv 2505.16066) scores all subsets; Gray 1953 (US patent 2632058).
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import torch

from mixwise.merging.chunks import chunks
from mixwise.merging.live_model import LiveModel
from mixwise.merging.task_vectors import TaskVector

_MAX_CHANGES = 256


class RunningSum:
    """Sums of the task vectors of subsets, each made from the one before.

    Args:
        live: The live model.
        task_vectors: What each expert adds to the base, by domain.
    """

    def __init__(self, live: LiveModel, task_vectors: Mapping[str, TaskVector]) -> None:
        self._live = live
        self._task_vectors = task_vectors
        self._last: Set[str] = frozenset()
        self._summed: Set[str] = frozenset()
        self._n_changes = 0
        self._sums: dict[str, torch.Tensor] = {}

    def pays(self, subset: Set[str]) -> bool:
        """Whether a subset is close enough to the one before; to be asked for each in turn."""
        before = self._summed if self._sums else self._last
        self._last = frozenset(subset)
        return len(before ^ subset) + 2 < len(subset)

    def write(self, subset: Set[str], merge_weight: float) -> None:
        """Write θ₀ + w Σ δᵢ into the live model.

        Args:
            subset: Domains of the sum.
            merge_weight: w, the same for all.
        """
        changes = self._begin(subset)
        for name, live in self._live.tensors.items():
            base = self._live.base_tensor(name)
            if name not in self._sums:
                self._live.write(name, base)
                continue
            active = [(d, sign) for d, sign in changes.items() if name in self._task_vectors[d]]
            for start, part in chunks(base, live.device):
                running = self._sums[name][start : start + part.numel()]
                for domain, sign in active:
                    self._task_vectors[domain].add_to(running, name, sign, start=start)
                total = part.to(live.device, torch.float32, copy=True)
                self._live.write(name, total.add_(running, alpha=merge_weight), start=start)
        self._summed = frozenset(subset)

    def _begin(self, subset: Set[str]) -> dict[str, float]:
        """What is to be added (1) or taken away (-1); starts anew where that is due."""
        changes = {domain: 1.0 if domain in subset else -1.0 for domain in subset ^ self._summed}
        self._n_changes += len(changes)
        if not self._sums or self._n_changes > _MAX_CHANGES:
            self._sums = {
                name: torch.zeros(live.numel(), device=live.device)
                for name, live in self._live.tensors.items()
                if live.is_floating_point()
            }
            changes, self._n_changes = dict.fromkeys(sorted(subset), 1.0), 0
        return changes
