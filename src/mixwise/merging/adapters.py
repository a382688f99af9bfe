"""LoRA experts, merged as adapters.

Notation:
    W₀: a weight of the base, ``(out, in)``.  Aᵢ ``(r, in)``, Bᵢ ``(out, r)``, sᵢ: factors and scale
    of expert i.  λᵢ: its share.

Method:
    W(λ) = W₀ + Σ λᵢ sᵢ Bᵢ Aᵢ, computed as one product of the concatenated factors
    [λ₁s₁B₁ … λₙsₙBₙ] · [A₁; …; Aₙ] in float32: no expert is ever expanded to a full model, and
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
class _Factors:
    """sBA of one weight: stored names of A and B, and what they are multiplied with."""

    a_name: str
    b_name: str
    scale: float
    is_transposed: bool


class LoraExpert:
    """The low-rank update of one adapter, by canonical name of the base's weights.

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
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        self._checkpoint = checkpoint
        self.factors: dict[str, _Factors] = {}
        for name in sorted(checkpoint.tensors):
            module, kind = _split(name)
            target = live.aliases.get(f"{module}.weight")
            if kind not in ("lora_A", "lora_B") or target is None:
                raise CheckpointError(
                    f"{checkpoint.folder}: tensor `{name}` fits no weight of the "
                    "base model: use an adapter that was trained on this base"
                )
            if kind == "lora_A":
                b_name = name.replace("lora_A", "lora_B")
                self.factors[target] = _Factors(
                    name, b_name, scale, bool(config.get("fan_in_fan_out"))
                )
                self._require_shape(live, target)

    def _require_shape(self, live: LiveModel, target: str) -> None:
        factors, tensors = self.factors[target], self._checkpoint.tensors
        if factors.b_name not in tensors:
            raise CheckpointError(
                f"{self._checkpoint.folder}: tensor `{factors.b_name}` is "
                "missing: save the adapter again"
            )
        shape = (tensors[factors.b_name].shape[0], tensors[factors.a_name].shape[1])
        expected = tuple(live.tensors[target].shape)
        if (shape[::-1] if factors.is_transposed else shape) != expected:
            raise CheckpointError(
                f"{self._checkpoint.folder}: `{factors.a_name}` and its partner "
                f"must make an update of shape {expected}, but make {shape}: use "
                "an adapter that was trained on this base"
            )

    def scaled_factors(self, target: str, share: float) -> tuple[Tensor, Tensor]:
        """λsB ``(out, r)`` and A ``(r, in)`` of one weight, float32."""
        factors = self.factors[target]
        b = self._checkpoint.load_tensor(factors.b_name).float() * (share * factors.scale)
        return b, self._checkpoint.load_tensor(factors.a_name).float()


def write_adapters(live: LiveModel, experts: Sequence[LoraExpert], shares: Sequence[float]) -> None:
    """Write W₀ + Σ λᵢ sᵢ Bᵢ Aᵢ into the live model.

    Args:
        live: The live model; every tensor is written, so nothing of its last state remains.
        experts: One adapter per domain, all on the live model's base.
        shares: λ, shape ``(n_experts,)``; adapters with share 0 are not read.
    """
    stored = live.match(live.base)
    active = [(e, share) for e, share in zip(experts, shares, strict=True) if share]
    for name in live.tensors:
        merged = live.base.load_tensor(stored[name])
        pairs = [e.scaled_factors(name, share) for e, share in active if name in e.factors]
        if pairs:
            update = torch.cat([b for b, _ in pairs], dim=1) @ torch.cat([a for _, a in pairs])
            is_transposed = next(e.factors[name] for e, _ in active if name in e.factors)
            merged = merged.float() + (update.T if is_transposed.is_transposed else update)
        live.write(name, merged)


def _split(name: str) -> tuple[str, str]:
    """Split an adapter's name: ``…q_proj.lora_A.weight`` → (``…q_proj``, ``lora_A``)."""
    module, _, kind = name.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".")
    return module, kind
