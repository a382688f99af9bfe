"""Small models of several families, with experts beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from mixwise.merging.pool import ExpertPool
from mixwise.merging.task_vectors.task_vector import DirectTaskVector
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel

Tensors = dict[str, torch.Tensor]
DOMAINS = ("a", "b", "c", "d", "e", "f")
FAMILIES = ("llama", "untied", "gpt2")


@dataclass(frozen=True)
class Family:
    """A base and six experts of it."""

    base: Path
    experts: dict[str, Path]

    def live(self, **settings: str) -> LiveModel:
        return LiveModel.load(open_checkpoint(self.base), **settings)

    def pool(self, live: LiveModel, n: int = len(DOMAINS), **settings: object) -> ExpertPool:
        opened = {name: open_checkpoint(self.experts[name]) for name in DOMAINS[:n]}
        return ExpertPool(live, opened, **settings)


def edit(folder: Path, change: Callable[[Tensors], None]) -> None:
    """Change the tensors of a checkpoint folder."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def move(seed: int, size: float) -> Callable[[Tensors], None]:
    """A change that adds noise to every tensor."""

    def change(tensors: Tensors) -> None:
        generator = torch.Generator().manual_seed(seed)
        for tensor in tensors.values():
            tensor.add_(size * torch.randn(tensor.shape, generator=generator))

    return change


def merged_slowly(live: LiveModel, pool: ExpertPool, merge_weights: list[float]) -> Tensors:
    """θ₀ + Σ wᵢ (θᵢ − θ₀) in double precision, straight from the checkpoints."""
    vectors = [DirectTaskVector(live, checkpoint) for checkpoint in pool.experts.values()]
    return {
        name: live.base_tensor(name).double()
        + sum(w * v.load(name).double() for w, v in zip(merge_weights, vectors, strict=True))
        for name in live.tensors
    }


def relative_error(got: Tensors, truth: Tensors) -> float:
    """‖got − truth‖ / ‖truth‖ over all tensors."""
    lost = sum(float((got[name].double() - truth[name]).square().sum()) for name in truth)
    return float((lost / sum(float(t.double().square().sum()) for t in truth.values())) ** 0.5)


def make_family(folder: Path, model: LlamaForCausalLM | GPT2LMHeadModel) -> Family:
    base = folder / "base"
    model.save_pretrained(base)
    experts = {}
    for seed, name in enumerate(DOMAINS):
        experts[name] = Path(shutil.copytree(base, folder / name))
        edit(experts[name], move(seed, 1e-3))
    return Family(base, experts)


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Family]:
    """Llama with tied and untied embeddings, and GPT-2, all of odd sizes."""
    root = tmp_path_factory.mktemp("families")
    torch.manual_seed(0)
    sizes = {"hidden_size": 18, "intermediate_size": 29, "num_hidden_layers": 2, "vocab_size": 131}
    heads = {"num_attention_heads": 3, "num_key_value_heads": 1, "max_position_embeddings": 32}
    return {
        "llama": make_family(
            root / "llama",
            LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=True)),
        ),
        "untied": make_family(
            root / "untied",
            LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=False)),
        ),
        "gpt2": make_family(
            root / "gpt2",
            GPT2LMHeadModel(
                GPT2Config(vocab_size=131, n_embd=18, n_layer=2, n_head=3, n_positions=32)
            ),
        ),
    }
