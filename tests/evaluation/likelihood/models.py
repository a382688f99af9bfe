"""Tiny random models of several architectures, far from uniform so that texts differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PretrainedConfig

VOCABULARY = 50

_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}

CONFIGS: Mapping[str, Callable[[], PretrainedConfig]] = {
    "llama": partial(transformers.LlamaConfig, **_SIZES),
    "llama-tied": partial(transformers.LlamaConfig, **_SIZES, tie_word_embeddings=True),
    "qwen2": partial(transformers.Qwen2Config, **_SIZES),
    "mistral": partial(transformers.MistralConfig, **_SIZES, sliding_window=5),
    "gemma3": partial(
        transformers.Gemma3TextConfig,
        **_SIZES | {"num_hidden_layers": 6},  # five of them look at a window, the sixth at all
        head_dim=8,
        sliding_window=5,
    ),
    "gpt2": partial(
        transformers.GPT2Config,
        vocab_size=VOCABULARY,
        n_embd=16,
        n_layer=3,
        n_head=2,
        n_positions=128,
        bos_token_id=None,
        eos_token_id=None,
    ),
    "bloom": partial(  # its layers return tuples
        transformers.BloomConfig,
        vocab_size=VOCABULARY,
        hidden_size=16,
        n_layer=3,
        n_head=2,
        bos_token_id=None,
        eos_token_id=None,
    ),
    "mamba": partial(
        transformers.MambaConfig,
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    ),
}


def tiny_model(kind: str, seed: int = 0) -> Any:
    """A model of one of the kinds in `CONFIGS`, in evaluation mode."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind]()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model
