"""LoRA experts, merged as adapters; the head of a classifier beside them as it is.

Notation:
    W₀: a weight of the base, ``(out, in)``.  Aᵢ ``(r, in)``, Bᵢ ``(out, r)``, sᵢ: factors and scale
    of expert i.  wᵢ: its merge weight.  Wᵢ: a tensor of a head, as expert i has it.

Method:
    W(λ) = W₀ + Σ wᵢ sᵢ Bᵢ Aᵢ, computed as one product of the concatenated factors
    [w₁s₁B₁ … wₙsₙBₙ] · [A₁; …; Aₙ] in float32: no expert is ever expanded to a full model, and
    there are no cross terms BᵢAⱼ, which a weighted sum of the factors themselves would bring.
    A head that was trained in full becomes (1 − Σ wᵢ) W₀ + Σ wᵢ Wᵢ, which is Wᵢ bit for bit where
    wᵢ = 1 is the only merge weight.
    Whether a weight is kept as ``(out, in)`` is asked of the base's module, as PEFT does, whatever
    ``fan_in_fan_out`` says.

Source:
    Hu et al. 2021 (arXiv 2106.09685); PEFT's adapter folders.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from mixwise.errors import CheckpointError
from mixwise.merging.task_vectors.adapter_features import reason_of_tensor, require_plain
from mixwise.merging.task_vectors.adapter_scales import LoraScales
from mixwise.merging.task_vectors.task_vector import fingerprint_of
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.heads import is_of_head
from mixwise.models.live_model import LiveModel

if TYPE_CHECKING:
    from torch import Tensor

_PREFIX = "base_model.model."
_FACTOR = re.compile(re.escape(_PREFIX) + r"(?P<module>.+)\.lora_(?P<side>[AB])\.weight")


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """The update of one weight as a product of two thin matrices, float32, on its device.

    Args:
        a: A, shape ``(r, in)``.
        b: sB, shape ``(out, r)``.
        is_transposed: Whether the weight is kept as ``(in, out)``, as GPT-2 does.
    """

    a: Tensor
    b: Tensor
    is_transposed: bool

    @property
    def left(self) -> Tensor:
        """The factor that has the rows of the weight as it is kept."""
        return self.a.T if self.is_transposed else self.b

    @property
    def right(self) -> Tensor:
        """The factor that has its columns."""
        return self.b.T if self.is_transposed else self.a

    def part(self, start: int, n: int) -> Tensor:
        """Some elements of the flattened update; only the rows that hold them are computed."""
        n_columns = self.right.shape[1]
        first, last = start // n_columns, -(-(start + n) // n_columns)
        rows = self.left[first:last] @ self.right
        return rows.view(-1)[start - first * n_columns :][:n]


class LoraExpert:
    """The task vector of one adapter: low-rank updates of some of the base's weights.

    Args:
        live: The live model of the base.
        checkpoint: The opened adapter.

    Raises:
        CheckpointError: If the adapter is more than plain LoRA, if a tensor of it is no factor of a
            linear layer of the base that stands alone, is not finite or of another shape; the text
            names the first one.
    """

    def __init__(self, live: LiveModel, checkpoint: Checkpoint) -> None:
        require_plain(checkpoint.adapter_config, checkpoint.folder)
        self._live = live
        self._checkpoint = checkpoint
        self._scales = LoraScales(checkpoint.adapter_config, checkpoint.folder)
        self._uses = Counter(live.aliases.values())
        self.factors: dict[str, Factors] = {}
        self.dense: dict[str, Tensor] = {}  # Wᵢ of a head, float32, on its live device
        for name in sorted(checkpoint.tensors):
            parsed = _FACTOR.fullmatch(name)
            if parsed is None:
                self._read_dense(name)
            elif parsed["side"] == "A" or self._partner(name, "A") not in checkpoint.tensors:
                target = self._find_target(name, parsed["module"])
                self.factors[target] = self._load_factors(name, parsed["module"], target)
        if not self.factors:
            raise CheckpointError(
                f"{checkpoint.folder}: the adapter holds no factors: save it again with PEFT"
            )

    def _read_dense(self, name: str) -> None:
        """A head of its own; or the base's head or embedding, which PEFT saves beside adapters."""
        folder = self._checkpoint.folder
        if not name.startswith(_PREFIX):
            raise CheckpointError(
                f"{folder}: the name of tensor `{name}` must begin with `{_PREFIX}`, as PEFT "
                "writes it: save the adapter with PEFT's `save_pretrained`"
            )
        own = name.removeprefix(_PREFIX).replace(".base_layer.", ".")
        target = self._live.aliases.get(own)
        if target is not None:
            values = self._checkpoint.load_tensor(name)
            base = self._live.base_tensor(target)
            is_head = is_of_head(own, self._checkpoint.adapter_config.get("modules_to_save") or ())
            exact = torch.float32 if is_head else base.dtype  # a head may move by less than a step
            if values.shape == base.shape and torch.equal(values.to(exact), base.to(exact)):
                return
            if is_head:
                self.dense[target] = self._load_head(name, own, target)
                return
            raise CheckpointError(
                f"{folder}: the adapter carries a `{own}` of its own, which differs from the "
                "base's (trained, or resized for new tokens) and is no product of two factors: "
                "train without it, or merge the adapter into a full model with PEFT and bring that"
            )
        if "lora_embedding_" in name:
            raise CheckpointError(
                f"{folder}: tensor `{name}` adapts an embedding, and only adapters of linear "
                "layers are merged: leave embeddings out of `target_modules`"
            )
        known = reason_of_tensor(name)
        if known is not None:
            raise CheckpointError(
                f"{folder}: tensor `{name}` cannot be merged, because {known[0]}: {known[1]}"
            )
        if re.search(r"\.lora_[AB]\.[^.]+\.weight$", name):
            raise CheckpointError(
                f"{folder}: tensor `{name}` holds the adapter's own name, so PEFT would not load "
                "it either: save the adapter with PEFT's `save_pretrained`"
            )
        raise CheckpointError(
            f"{folder}: tensor `{name}` is neither a factor of LoRA nor a weight of the base "
            "model: save the adapter with PEFT's `save_pretrained`"
        )

    def _load_head(self, name: str, own: str, target: str) -> Tensor:
        """A tensor of a classifier's head."""
        values, live = self._load_finite(name, target), self._live.tensors[target]
        if values.shape != live.shape:
            raise CheckpointError(
                f"{self._checkpoint.folder}: the head's `{own}` must be of shape "
                f"{tuple(live.shape)}, by the base, but is {tuple(values.shape)}: use an adapter "
                "that was trained on this base, with its labels"
            )
        return values

    def _find_target(self, name: str, module: str) -> str:
        """Canonical name of the weight that a factor changes, found to be one that it can."""
        folder = self._checkpoint.folder
        target = self._live.aliases.get(f"{module}.weight")
        if target is None:
            raise CheckpointError(
                f"{folder}: tensor `{name}` fits no weight of the "
                "base model: use an adapter that was trained on this base"
            )
        if self._uses[target] > 1:
            raise CheckpointError(
                f"{folder}: tensor `{name}` adapts `{module}`, whose weight the base uses in "
                "another place too (tied), where PEFT leaves it alone, so no merged weight equals "
                f"the adapter: leave `{module}` out of `target_modules`"
            )
        if not is_linear(self._live, module):
            kind = type(self._live.module.get_submodule(module)).__name__
            raise CheckpointError(
                f"{folder}: tensor `{name}` adapts `{module}`, a {kind}, and only adapters of "
                "linear layers are merged: leave it out of `target_modules`"
            )
        return target

    def _load_factors(self, name: str, module: str, target: str) -> Factors:
        is_transposed = not isinstance(self._live.module.get_submodule(module), nn.Linear)
        a, b = (self._load_factor(self._partner(name, side), target) for side in "AB")
        expected = tuple(self._live.tensors[target].shape)[:: -1 if is_transposed else 1]
        rank = self._scales.rank(module)
        if (*b.shape, *a.shape) != (expected[0], rank, rank, expected[1]):
            raise CheckpointError(
                f"{self._checkpoint.folder}: the factors of `{module}` must be of shapes "
                f"{(rank, expected[1])} and {(expected[0], rank)}, by the base and by the rank in "
                f"adapter_config.json, but are {tuple(a.shape)} and {tuple(b.shape)}: use an "
                "adapter that was trained on this base, with its own adapter_config.json"
            )
        return Factors(a, b * self._scales.scale(module), is_transposed)

    def _load_factor(self, name: str, target: str) -> Tensor:
        if name not in self._checkpoint.tensors:
            raise CheckpointError(
                f"{self._checkpoint.folder}: tensor `{name}` is missing: save the adapter again"
            )
        return self._load_finite(name, target)

    def _load_finite(self, name: str, target: str) -> Tensor:
        values = self._checkpoint.load_tensor(name).to(
            self._live.tensors[target].device, torch.float32
        )
        if not bool(values.isfinite().all()):
            raise CheckpointError(
                f"{self._checkpoint.folder}: tensor `{name}` must be finite, but holds NaN or "
                "infinity: use a checkpoint from before the training diverged"
            )
        return values

    @staticmethod
    def _partner(name: str, side: str) -> str:
        return re.sub(r"\.lora_[AB]\.weight$", f".lora_{side}.weight", name)

    @property
    def is_zero(self) -> bool:
        """Whether the adapter changes nothing, as one that was never trained."""
        factors = self.factors.values()  # a head that equals the base's is not in `dense`
        return not self.dense and not any(bool(f.a.any()) and bool(f.b.any()) for f in factors)

    @property
    def norm(self) -> float:
        """‖δ‖ over all weights, from ⟨BᵀB, AAᵀ⟩."""
        heads = [float(self.load(name).double().square().sum()) for name in self.dense]
        squares = (
            float(((f.b.T @ f.b).double() * (f.a @ f.a.T).double()).sum())
            for f in self.factors.values()
        )
        return math.sqrt(max(0.0, math.fsum([*squares, *heads])))

    @property
    def fingerprint(self) -> str:
        """Hash of the base and the adapter."""
        return fingerprint_of(self._live.base, self._checkpoint, "factors")

    def __contains__(self, name: str) -> bool:
        return name in self.factors or name in self.dense

    def load(self, name: str) -> Tensor:
        """See `TaskVector.load`."""
        if name in self.dense:
            head = self.dense[name]
            return head - self._live.base_tensor(name).to(head.device, torch.float32)
        return self.factors[name].left @ self.factors[name].right

    def add_to(self, total: Tensor, name: str, share: float, *, start: int = 0) -> None:
        """See `TaskVector.add_to`."""
        n = total.numel()
        if name in self.dense:
            part = self.load(name).view(-1)[start : start + n]
        else:
            part = self.factors[name].part(start, n)
        total.view(-1).add_(part, alpha=share)

    def dot(self, name: str, gradient: Tensor, *, start: int = 0) -> float:
        """See `TaskVector.dot`; ⟨LR, G⟩ = ⟨L, G Rᵀ⟩ needs no product as large as the weight."""
        if name in self.dense:
            head = self.load(name).view(-1)[start : start + gradient.numel()]
            return float(torch.dot(head.double(), gradient.view(-1).double()))
        factors = self.factors[name]
        left, right = factors.left, factors.right
        if gradient.numel() < left.shape[0] * right.shape[1]:
            part = factors.part(start, gradient.numel())
            return float(torch.dot(part.double(), gradient.view(-1).double()))
        seen = gradient.view(left.shape[0], -1).float() @ right.T
        return float((left.double() * seen.double()).sum())


def write_adapters(
    live: LiveModel, experts: Sequence[LoraExpert], merge_weights: Sequence[float]
) -> None:
    """Write W₀ + Σ wᵢ sᵢ Bᵢ Aᵢ, and heads, into the live model.

    Args:
        live: The live model; every tensor is written, so nothing of its last state remains.
        experts: One adapter per domain, all on the live model's base.
        merge_weights: w, shape ``(n_experts,)``; adapters with weight 0 are left out.
    """
    weighted = [(e, w) for e, w in zip(experts, merge_weights, strict=True) if w]
    active = [(e.factors, w) for e, w in weighted]
    for name in live.tensors:
        merged = live.base_tensor(name)
        pairs = [(factors[name], weight) for factors, weight in active if name in factors]
        if pairs:
            left = torch.cat([factors.left * weight for factors, weight in pairs], dim=1)
            right = torch.cat([factors.right for factors, _ in pairs])
            merged = merged.to(left.device, torch.float32) + left @ right
        heads = [(e.dense[name], w) for e, w in weighted if name in e.dense]
        if heads:
            merged = merge_heads(merged, heads)
        live.write(name, merged)


def merge_heads(base: Tensor, heads: Sequence[tuple[Tensor, float]]) -> Tensor:
    """(1 − Σ wᵢ) W₀ + Σ wᵢ Wᵢ of one tensor, float32, on the device of its heads.

    Args:
        base: W₀.
        heads: Wᵢ and wᵢ of the experts that have a tensor of their own; at least one.
    """
    merged = base.to(heads[0][0].device, torch.float32)
    merged = merged * (1 - math.fsum(weight for _, weight in heads))
    for head, weight in heads:
        merged.add_(head, alpha=weight)
    return merged


def is_linear(live: LiveModel, module: str) -> bool:
    """Whether a module of the live model is a linear layer, kept either way round."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(live.module.get_submodule(module), nn.Linear | Conv1D)
