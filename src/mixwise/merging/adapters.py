"""LoRA experts, merged as adapters.

Notation:
    W₀: a weight of the base, ``(out, in)``.  Aᵢ ``(r, in)``, Bᵢ ``(out, r)``, sᵢ: factors and scale
    of expert i.  wᵢ: its merge weight.

Method:
    W(λ) = W₀ + Σ wᵢ sᵢ Bᵢ Aᵢ, computed as one product of the concatenated factors
    [w₁s₁B₁ … wₙsₙBₙ] · [A₁; …; Aₙ] in float32: no expert is ever expanded to a full model, and
    there are no cross terms BᵢAⱼ, which a weighted sum of the factors themselves would bring.

Source:
    Hu et al. 2021 (arXiv 2106.09685); PEFT's adapter folders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mixwise.errors import CheckpointError
from mixwise.merging.checkpoint import Checkpoint
from mixwise.merging.live_model import LiveModel
from mixwise.merging.task_vectors import fingerprint_of

if TYPE_CHECKING:
    from torch import Tensor

_PREFIX = "base_model.model."
_UNSUPPORTED: Mapping[str, Any] = {
    "use_dora": False,
    "modules_to_save": None,
    "rank_pattern": {},
    "alpha_pattern": {},
    "bias": "none",
    "lora_bias": False,
}


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
        CheckpointError: If the adapter uses a feature that is no plain LoRA, or names or shapes
            don't fit the base; the text names the first one.
    """

    def __init__(self, live: LiveModel, checkpoint: Checkpoint) -> None:
        config = checkpoint.adapter_config
        for key, plain in _UNSUPPORTED.items():
            if config.get(key, plain) not in (plain, None, {}, []):
                raise CheckpointError(
                    f"{checkpoint.folder}: only plain LoRA can be merged, but "
                    f"`{key}` is {config[key]!r}: train without it, or merge the "
                    "adapter into a full model first"
                )
        start = config.get("init_lora_weights", True)
        if config.get("peft_type", "LORA") != "LORA" or start not in (True, False, "gaussian"):
            raise CheckpointError(
                f"{checkpoint.folder}: only plain LoRA on an unchanged base can be merged, but "
                f"`peft_type` is {config.get('peft_type')} and `init_lora_weights` {start!r}: "
                "merge the adapter into a full model first"
            )
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
        self._live = live
        self._checkpoint = checkpoint
        self._scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        self._is_transposed = bool(config.get("fan_in_fan_out"))
        self.factors: dict[str, Factors] = {}
        for name in sorted(checkpoint.tensors):
            module, kind = _split(name)
            target = live.aliases.get(f"{module}.weight")
            if kind not in ("lora_A", "lora_B") or target is None:
                raise CheckpointError(
                    f"{checkpoint.folder}: tensor `{name}` fits no weight of the "
                    "base model: use an adapter that was trained on this base"
                )
            if kind == "lora_A":
                self._require_shape(name, target)
                self.factors[target] = self._load_factors(name, live.tensors[target].device)

    def _require_shape(self, a_name: str, target: str) -> None:
        b_name, tensors = _partner(a_name), self._checkpoint.tensors
        if b_name not in tensors:
            raise CheckpointError(
                f"{self._checkpoint.folder}: tensor `{b_name}` is missing: save the adapter again"
            )
        shape = (tensors[b_name].shape[0], tensors[a_name].shape[1])
        expected = tuple(self._live.tensors[target].shape)
        if (shape[::-1] if self._is_transposed else shape) != expected:
            raise CheckpointError(
                f"{self._checkpoint.folder}: `{a_name}` and its partner "
                f"must make an update of shape {expected}, but make {shape}: use "
                "an adapter that was trained on this base"
            )

    def _load_factors(self, a_name: str, device: torch.device) -> Factors:
        a = self._checkpoint.load_tensor(a_name).to(device, torch.float32)
        b = self._checkpoint.load_tensor(_partner(a_name)).to(device, torch.float32)
        return Factors(a, b * self._scale, self._is_transposed)

    @property
    def fingerprint(self) -> str:
        """Hash of the base and the adapter."""
        return fingerprint_of(self._live.base, self._checkpoint, "factors")

    def __contains__(self, name: str) -> bool:
        return name in self.factors

    def load(self, name: str) -> Tensor:
        """See `TaskVector.load`."""
        return self.factors[name].left @ self.factors[name].right

    def add_to(self, total: Tensor, name: str, share: float, *, start: int = 0) -> None:
        """See `TaskVector.add_to`."""
        total.view(-1).add_(self.factors[name].part(start, total.numel()), alpha=share)

    def dot(self, name: str, gradient: Tensor, *, start: int = 0) -> float:
        """See `TaskVector.dot`; ⟨LR, G⟩ = ⟨L, G Rᵀ⟩ needs no product as large as the weight."""
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
    """Write W₀ + Σ wᵢ sᵢ Bᵢ Aᵢ into the live model.

    Args:
        live: The live model; every tensor is written, so nothing of its last state remains.
        experts: One adapter per domain, all on the live model's base.
        merge_weights: w, shape ``(n_experts,)``; adapters with weight 0 are left out.
    """
    active = [(e.factors, w) for e, w in zip(experts, merge_weights, strict=True) if w]
    for name in live.tensors:
        merged = live.base_tensor(name)
        pairs = [(factors[name], weight) for factors, weight in active if name in factors]
        if pairs:
            left = torch.cat([factors.left * weight for factors, weight in pairs], dim=1)
            right = torch.cat([factors.right for factors, _ in pairs])
            merged = merged.to(left.device, torch.float32) + left @ right
        live.write(name, merged)


def _partner(a_name: str) -> str:
    return a_name.replace("lora_A", "lora_B")


def _split(name: str) -> tuple[str, str]:
    """Split an adapter's name: ``…q_proj.lora_A.weight`` → (``…q_proj``, ``lora_A``)."""
    module, _, kind = name.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".")
    return module, kind
