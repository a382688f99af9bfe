"""Several LoRA adapters as one, for a trainer or an engine that loads adapters.

Notation:
    Aᵢ ``(rᵢ, in)``, Bᵢ ``(out, rᵢ)``: factors of adapter i, its scale in B.  wᵢ: its merge weight.

Method:
    Σ wᵢ Bᵢ Aᵢ = [w₁B₁ … wₙBₙ] · [A₁; …; Aₙ]: the factors are laid beside each other and never
    added, which would bring cross terms BᵢAⱼ. Weights that fewer adapters change have fewer rows;
    all are filled up with zeros to one rank r, with alpha = r, so that no pattern of ranks is
    needed, which not every engine reads. A classifier's head is saved beside them, whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from torch.nn.functional import pad

from mixwise.errors import CheckpointError
from mixwise.merging.task_vectors.adapters import Factors, LoraExpert, merge_heads
from mixwise.models.checkpoint import ADAPTER_FILE
from mixwise.models.heads import HEADS, is_of_head
from mixwise.models.live_model import LiveModel

_PREFIX = "base_model.model."


def save_merged_adapter(
    live: LiveModel,
    experts: Sequence[LoraExpert],
    merge_weights: Sequence[float],
    folder: Path,
    *,
    base_name: str,
    task_type: str | None,
    kept: Mapping[str, torch.Tensor] = MappingProxyType({}),
) -> None:
    """Save the weighted sum of adapters as an adapter folder of PEFT, float32.

    Args:
        live: The live model of the base.
        experts: The adapters, all of that base.
        merge_weights: w, shape ``(n_experts,)``; adapters with weight 0 are left out.
        folder: Where it is saved.
        base_name: What its configuration says that it belongs to.
        task_type: PEFT's name of the task.
        kept: Tensors of the head that are not merged, by canonical name.

    Raises:
        CheckpointError: If no adapter has a weight.
    """
    from peft import LoraConfig
    from safetensors.torch import save_file

    weighted = [(e, w) for e, w in zip(experts, merge_weights, strict=True) if w]
    active = [(e.factors, w) for e, w in weighted]
    if not active:
        raise CheckpointError("the merged adapter must have an expert with a weight, but has none")
    names = sorted({name for factors, _ in active for name in factors})
    joined = {
        name: _join([(f[name], weight) for f, weight in active if name in f]) for name in names
    }
    rank = max(factors.a.shape[0] for factors in joined.values())
    tensors = {}
    for name, factors in joined.items():
        module, missing = name.removesuffix(".weight"), rank - factors.a.shape[0]
        tensors[f"{_PREFIX}{module}.lora_A.weight"] = pad(factors.a, (0, 0, 0, missing)).cpu()
        tensors[f"{_PREFIX}{module}.lora_B.weight"] = pad(factors.b, (0, missing)).cpu()
    heads = _merged_heads(live, weighted)
    heads |= {name: tensor for name, tensor in kept.items() if name in heads}
    tensors |= {f"{_PREFIX}{name}": tensor.cpu() for name, tensor in heads.items()}
    config = LoraConfig(
        base_model_name_or_path=base_name,
        task_type=task_type,
        r=rank,
        lora_alpha=rank,
        lora_dropout=0.0,
        target_modules=[name.removesuffix(".weight") for name in names],
        modules_to_save=[head for head in HEADS if any(is_of_head(n, (head,)) for n in heads)]
        or None,
        fan_in_fan_out=all(factors.is_transposed for factors in joined.values()),
        inference_mode=True,
    )
    config.save_pretrained(str(folder))
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / ADAPTER_FILE)


def _merged_heads(
    live: LiveModel, weighted: Sequence[tuple[LoraExpert, float]]
) -> dict[str, torch.Tensor]:
    """All tensors of the merged head; none where no adapter has a head of its own."""
    if not any(expert.dense for expert, _ in weighted):
        return {}
    merged = {}
    for name in filter(is_of_head, live.tensors):
        own = [(expert.dense[name], weight) for expert, weight in weighted if name in expert.dense]
        base = live.base_tensor(name)
        merged[name] = merge_heads(base, own) if own else base.float()
    return merged


def _join(weighted: Sequence[tuple[Factors, float]]) -> Factors:
    """The factors of one weight beside each other."""
    a = torch.cat([factors.a for factors, _ in weighted])
    b = torch.cat([factors.b * weight for factors, weight in weighted], dim=1)
    return Factors(a, b, weighted[0][0].is_transposed)
