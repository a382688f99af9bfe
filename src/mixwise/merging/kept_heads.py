"""Heads of domains in a merge: kept whole, each from its own expert.

Notation:
    W₀, Wᵢ: a tensor of the base and of expert i that has a row for every output.  R_d: rows of the
    head of domain d.  λ: shares.

Method:
    W[R_d] = W_d[R_d] where λ_d > 0 and W₀[R_d] where λ_d = 0: a model that is trained on a mixture
    leaves the heads of domains that it never reads as they were, and so does its stand-in. All
    other tensors are the merge rule's. Of one domain alone, W = W_d, as its expert has it.
    The coefficient is 1 whatever λ_d is, so that these rows have no slopes in the shares.

Source:
    Bodies merged and heads kept: Ilharco et al. 2022 (arXiv 2212.04089, §3); Yang et al. 2023
    (arXiv 2310.02575). That an absent domain's head stays the base's is our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mixwise.errors import CheckpointError
from mixwise.merging.task_vectors.task_vector import TaskVector
from mixwise.models.live_model import LiveModel

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class KeptHeads:
    """Which rows of which tensors are a domain's own.

    Args:
        tensors: Names of the tensors that have a row for every output.
        rows: R_d by domain.
    """

    tensors: tuple[str, ...]
    rows: Mapping[str, range]

    @property
    def provenance(self) -> str:
        """All that a merge depends on besides experts and shares."""
        rows = (f"{domain} {rows.start}:{rows.stop}" for domain, rows in self.rows.items())
        return f"{', '.join(rows)} of {', '.join(self.tensors)}"

    def names(self, live: LiveModel) -> frozenset[str]:
        """Canonical names of the tensors.

        Raises:
            CheckpointError: If one is tied to another tensor, which a merge would change too.
        """
        found = frozenset(live.aliases[name] for name in self.tensors)
        tied = [name for name, first in live.aliases.items() if first in found]
        if len(tied) > len(self.tensors):
            other = next(name for name in tied if name not in self.tensors)
            raise CheckpointError(
                f"{live.base.folder}: the rows of `{self.tensors[0]}` are those of labels, which "
                f"each domain keeps for itself, but `{other}` is tied to them and merged: use a "
                "base whose head stands alone"
            )
        return found

    @torch.no_grad()
    def merged(
        self, live: LiveModel, task_vectors: Mapping[str, TaskVector], shares: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """W by canonical name, float32, on its live device.

        Args:
            live: The live model of the base.
            task_vectors: Of the experts, by domain.
            shares: λ by domain.
        """
        present = [domain for domain, share in shares.items() if share > 0]
        found = {}
        for name in sorted(self.names(live)):
            total = live.base_tensor(name).to(live.tensors[name].device, torch.float32, copy=True)
            for domain in present:
                if name not in task_vectors[domain]:
                    continue
                rows = self.rows[domain] if len(present) > 1 else range(len(total))
                delta = task_vectors[domain].load(name)
                total[rows.start : rows.stop] += delta[rows.start : rows.stop]
            found[name] = total
        return found
