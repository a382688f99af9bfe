"""Tiny random bases of several architectures, and experts of them, as folders on disk."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.models.loading import load_module

VOCABULARY = 41
KINDS = ("llama tied", "llama untied", "gpt2", "qwen2")


def save_base(kind: str, folder: Path) -> Checkpoint:
    """Save a random base: odd widths, two layers, a padding token."""
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, Qwen2Config

    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 12,
        "intermediate_size": 22,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    config: Any
    if kind == "gpt2":
        sizes = {"n_embd": 12, "n_layer": 2, "n_head": 2, "n_positions": 64}
        ends = {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.3}
        config = GPT2Config(vocab_size=VOCABULARY, **sizes, **ends)
    elif kind == "qwen2":
        config = Qwen2Config(tie_word_embeddings=False, **shape)
    else:
        config = LlamaConfig(tie_word_embeddings=kind == "llama tied", **shape)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return open_checkpoint(folder)


def save_full_expert(base: Checkpoint, folder: Path, seed: int) -> Checkpoint:
    """Save the base with some noise on every tensor."""
    module = load_module(base.folder)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    module.save_pretrained(folder)
    return open_checkpoint(folder)


def save_adapter(
    base: Checkpoint, folder: Path, seed: int, *, targets: Sequence[str] | str = "all-linear"
) -> Checkpoint:
    """Save a LoRA adapter of rank 1 + seed with random factors."""
    from peft import LoraConfig, get_peft_model

    module = load_module(base.folder)
    is_gpt2 = module.config.model_type == "gpt2"
    torch.manual_seed(seed)
    config = LoraConfig(
        r=1 + seed,
        lora_alpha=3,
        target_modules=targets if isinstance(targets, str) else list(targets),
        fan_in_fan_out=is_gpt2,
    )
    model = get_peft_model(module, config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting `save_embedding_layers`")  # beside a head's
        model.save_pretrained(folder)
    return open_checkpoint(folder)


def double_live(base: Checkpoint) -> LiveModel:
    """A live model in float64, so that finite differences mean something."""
    return LiveModel(load_module(base.folder).double().eval(), base)
