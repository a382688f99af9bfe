"""The experts of a study, ready to be merged by any mixture.

Notation:
    θ₀: a tensor of the base.  δₖ: vector k: an expert's task vector or another run's.  wₖ: its
    merge weight, from the rule.

Method:
    θ₀ + Σ wₖ δₖ in float32, piece by piece: a piece of the total stays in the cache while the
    experts' pieces pass, and is rounded once, to the live model's dtype. Memory beyond the live
    model is that one piece; base and experts are pages that the system may drop.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mixwise.errors import CheckpointError
from mixwise.merging.fit.config import compare_configs
from mixwise.merging.fit.tokenizer import compare_tokenizers
from mixwise.merging.kept_heads import KeptHeads
from mixwise.merging.rules.inputs import ExtraRun, Ingredients, SecondMoments
from mixwise.merging.rules.rule import Combine, LinearRule, MergeRule
from mixwise.merging.running_sum import RunningSum
from mixwise.merging.task_vectors.adapters import LoraExpert, write_adapters
from mixwise.merging.task_vectors.encoding import StorePrecision
from mixwise.merging.task_vectors.inner_products import inner_products
from mixwise.merging.task_vectors.store import StoredTaskVector, open_stored
from mixwise.merging.task_vectors.task_vector import DirectTaskVector, TaskVector, load_all
from mixwise.mixture import Mixture
from mixwise.models.batch_norm import statistics_names
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.chunks import chunks
from mixwise.models.live_model import LiveModel

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class StoredVector:
    """What the store holds of an expert.

    Args:
        domain: The expert's domain.
        precision: How its task vector is written down.
        relative_error: ‖δ − q(δ)‖ / ‖δ‖, what that loses.
        n_bytes: Size of its file.
    """

    domain: str
    precision: StorePrecision
    relative_error: float
    n_bytes: int


class ExpertPool:
    """One expert per domain, all from one base; writes merges of them into a live model.

    Args:
        live: The live model of that base.
        experts: Opened checkpoints by domain: all full models, or all LoRA adapters.
        extras: Runs that a rule needs besides the experts.
        with_second_moments: Whether a rule needs the experts' second moments.
        folder: Where the task vectors of full models are stored; None to take them from the
            checkpoints each time.
        precision: How they are written down there.
        heads: Rows that each domain keeps from its own expert; None where all of a model is merged.

    Attributes:
        live: The live model.
        experts: The checkpoints by domain.
        task_vectors: What each expert adds to the base, by domain.
        vectors: All that rules merge, in the order of `mixwise.merging.rules.inputs`.
        kept: Canonical names of the tensors that no rule merges, as their rows are kept.

    Raises:
        CheckpointError: If an expert doesn't fit the base or the others; the text names the first
            tensor that does not.
        ResourceError: If the store cannot be written.
    """

    def __init__(
        self,
        live: LiveModel,
        experts: Mapping[str, Checkpoint],
        *,
        extras: Sequence[ExtraRun] = (),
        with_second_moments: bool = False,
        folder: Path | None = None,
        precision: StorePrecision = "float32",
        heads: KeptHeads | None = None,
    ) -> None:
        self.live = live
        self._heads = heads
        self.kept = frozenset[str]() if heads is None else heads.names(live)
        self.experts = dict(experts)
        self._precision: StorePrecision = precision
        self._require_fit([*self.experts.values(), *(run.checkpoint for run in extras)])

        def opened(checkpoint: Checkpoint, name: str) -> TaskVector:
            return _open_task_vector(live, checkpoint, name, folder, precision)

        self.task_vectors: dict[str, TaskVector] = {
            domain: opened(checkpoint, domain) for domain, checkpoint in self.experts.items()
        }
        with_moments = self.experts.values() if with_second_moments else ()
        self.vectors: tuple[TaskVector, ...] = (
            *self.task_vectors.values(),
            *(opened(run.checkpoint, _file_name(run)) for run in extras),
            *(SecondMoments(live, checkpoint.folder) for checkpoint in with_moments),
        )
        self.ingredients = Ingredients.of(
            self.domains, extras, has_second_moments=with_second_moments
        )
        self._running = RunningSum(live, self.task_vectors)

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the experts, in the study's order."""
        return tuple(self.experts)

    @property
    def stored(self) -> tuple[StoredVector, ...]:
        """What the store holds, per expert; nothing for adapters and without a store."""
        return tuple(
            StoredVector(domain, self._precision, vector.relative_error, vector.n_bytes)
            for domain, vector in self.task_vectors.items()
            if isinstance(vector, StoredTaskVector)
        )

    def base_tensor(self, name: str) -> Tensor:
        """One tensor of the base by its canonical name: mapped from disk, in its stored dtype."""
        return self.live.base_tensor(name)

    def inner_products(self) -> Tensor:
        """⟨δₖ, δₗ⟩ of all vectors over all tensors, ``(n_vectors, n_vectors)``, float64."""
        total = torch.zeros(len(self.vectors), len(self.vectors), dtype=torch.float64)
        others = statistics_names(self.live.module) | self.kept  # which no rule combines
        for name, live in self.live.tensors.items():
            if name in others:
                continue
            total += inner_products(self.vectors, name, self.base_tensor(name), live.device)
        return total

    def place(self, budgets_bytes: Mapping[torch.device, int]) -> None:
        """Keep stored task vectors on the devices of the live model, as far as they fit.

        Args:
            budgets_bytes: What may be used on each device. What finds no place is copied there
                each time it is merged.
        """
        left = dict(budgets_bytes)
        for vector in self.vectors:
            if isinstance(vector, StoredTaskVector):
                vector.place(left)

    def _require_fit(self, checkpoints: Sequence[Checkpoint]) -> None:
        first = checkpoints[0]
        for checkpoint in checkpoints:
            if checkpoint.is_adapter != first.is_adapter:
                raise CheckpointError(
                    f"{checkpoint.folder}: experts must be all full models or "
                    f"all adapters, but {first.folder} differs: train them alike"
                )
            compare_with_base(self.live, checkpoint)
            if not checkpoint.is_adapter:
                self.live.match(checkpoint)

    @torch.no_grad()
    def merge(self, mixture: Mixture, rule: MergeRule) -> bool:
        """Write the merge of a mixture into the live model.

        An expert that gets merge weight 1 and no other is written as it was saved, bit for bit.

        Args:
            mixture: Shares of the pool's domains.
            rule: How merge weights or tensors follow from the shares.

        Returns:
            Whether it is one full expert, as it was saved.
        """
        shares = self.shares(mixture)
        is_as_saved = False
        if isinstance(rule, LinearRule):
            is_as_saved = self._write_weighted(rule.coefficients(shares).tolist())
        else:
            self._write_combined(shares, rule.combine)
        if not is_as_saved:
            for name, values in self.kept_tensors(mixture).items():
                self.live.write(name, values)
        return is_as_saved

    def kept_tensors(self, mixture: Mixture) -> dict[str, Tensor]:
        """What a merge has in the place of tensors that no rule merges, by canonical name."""
        if self._heads is None:
            return {}
        return self._heads.merged(self.live, self.task_vectors, mixture.as_dict())

    def shares(self, mixture: Mixture) -> Tensor:
        """Shares in the order of the pool's domains, ``(n_domains,)``, float64."""
        by_domain = mixture.as_dict()
        return torch.tensor([by_domain[name] for name in self.domains], dtype=torch.float64)

    def _write_weighted(self, merge_weights: Sequence[float]) -> bool:
        """Write a weighted sum; tell whether it is an expert as it was saved."""
        pairs = [(v, w) for v, w in zip(self.vectors, merge_weights, strict=True) if w]
        active = {d: w for d, w in zip(self.domains, merge_weights, strict=False) if w}
        is_of_experts = len(active) == len(pairs)
        adapters = [vector for vector, _ in pairs if isinstance(vector, LoraExpert)]
        if adapters:
            write_adapters(self.live, adapters, [weight for _, weight in pairs])
        elif is_of_experts and list(active.values()) == [1.0]:
            self.live.write_checkpoint(self.experts[next(iter(active))])
            return True
        elif is_of_experts and _are_one(active.values()):
            self._running.write(set(active), statistics.fmean(active.values()))
        else:
            _write_sum(self.live, pairs)
        return False

    def _write_combined(self, shares: Tensor, combine: Combine) -> None:
        for name, live in self.live.tensors.items():
            base = self.base_tensor(name)
            if any(name in vector for vector in self.vectors):
                deltas = load_all(self.vectors, name)
                merged = combine(name, deltas, shares.to(live.device, torch.float32))
                base = base.to(live.device, torch.float32) + merged
            self.live.write(name, base)


def _are_one(merge_weights: Collection[float]) -> bool:
    """Whether merge weights are those of a plain average, from shares on a grid of 1e-9."""
    spread = max(merge_weights, default=0.0) - min(merge_weights, default=0.0)
    return bool(merge_weights) and spread <= 1e-9 * len(merge_weights)


def _file_name(run: ExtraRun) -> str:
    """Name of an extra run's file in the store; no domain can be called so."""
    digest = hashlib.blake2b(str(run.mixture).encode(), digest_size=8).hexdigest()
    return f"+{digest}-{run.fraction:g}"


def _open_task_vector(
    live: LiveModel,
    checkpoint: Checkpoint,
    name: str,
    folder: Path | None,
    precision: StorePrecision,
) -> TaskVector:
    if checkpoint.is_adapter:
        return LoraExpert(live, checkpoint)
    if folder is None:
        return DirectTaskVector(live, checkpoint)
    return open_stored(folder / f"{name}.safetensors", live, checkpoint, precision)


def compare_with_base(live: LiveModel, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Refuse an expert that is another function of its tensors, or of a text, than the base.

    Args:
        live: The live model of the base.
        checkpoint: The expert; an adapter has the base's configuration.

    Returns:
        What differs and decides no score: keys of config.json, parts of the tokenizer.

    Raises:
        CheckpointError: Names the first difference that decides.
    """
    base, expert = live.base.folder, checkpoint.folder
    keys: tuple[str, ...] = ()
    if not checkpoint.is_adapter:
        config_class = type(getattr(live.module, "config", None))
        keys = compare_configs(base, expert, config_class)
    return (*(f"`{key}` of config.json" for key in keys), *compare_tokenizers(base, expert))


def write_checkpoint(live: LiveModel, checkpoint: Checkpoint) -> None:
    """Write one checkpoint, full or adapter, into the live model of its base."""
    if checkpoint.is_adapter:
        write_adapters(live, [LoraExpert(live, checkpoint)], [1.0])
    else:
        live.write_checkpoint(checkpoint)


def write_scaled(live: LiveModel, checkpoint: Checkpoint, coefficient: float) -> None:
    """Write θ₀ + c δ: a checkpoint whose difference to the base is multiplied by a coefficient."""
    if coefficient == 1:
        write_checkpoint(live, checkpoint)
    elif checkpoint.is_adapter:
        write_adapters(live, [LoraExpert(live, checkpoint)], [coefficient])
    else:
        _write_sum(live, [(DirectTaskVector(live, checkpoint), coefficient)])


@torch.no_grad()
def _write_sum(live: LiveModel, weighted: Sequence[tuple[TaskVector, float]]) -> None:
    for name, tensor in live.tensors.items():
        base = live.base_tensor(name)
        if not tensor.is_floating_point():  # a counter or a mask
            live.write(name, base)
            continue
        pairs = [(vector, weight) for vector, weight in weighted if name in vector]
        for start, part in chunks(base, tensor.device):
            total = part.to(tensor.device, torch.float32, copy=True)
            for vector, weight in pairs:
                vector.add_to(total, name, weight, start=start)
            live.write(name, total, start=start)
