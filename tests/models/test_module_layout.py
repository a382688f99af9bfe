from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mixwise.errors import CheckpointError
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rule_table import find_rule
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.copies import Copies
from mixwise.models.live_model import LiveModel
from mixwise.models.loading import build_module
from mixwise.models.module_layout import in_module_layout

SIZES: dict[str, Any] = {
    "vocab_size": 41,
    "hidden_size": 12,
    "intermediate_size": 10,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}
KINDS: dict[str, Callable[[], Any]] = {
    "mixtral": lambda: transformers.MixtralConfig(**SIZES, num_local_experts=3),
    "qwen2_moe": lambda: transformers.Qwen2MoeConfig(
        **SIZES,
        num_experts=3,
        num_experts_per_tok=2,
        moe_intermediate_size=6,
        shared_expert_intermediate_size=6,
    ),
    "olmoe": lambda: transformers.OlmoeConfig(**SIZES, num_experts=3, num_experts_per_tok=2),
}
SHARES = {"a": 0.3, "b": 0.7}


@pytest.fixture(params=KINDS)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A base and two experts of it, one matrix of one expert a tensor, as the hub has them."""
    for seed, name in enumerate(("base", *SHARES)):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(KINDS[request.param]())
        torch.manual_seed(seed)
        for parameter in model.parameters() if seed else ():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
        model.save_pretrained(tmp_path / name)
    return tmp_path


def opened(folder: Path, name: str) -> Checkpoint:
    structure = build_module(folder / "base", dtype=torch.float32)
    return in_module_layout(open_checkpoint(folder / name), structure, Copies(folder / "copies"))


def merged(folder: Path) -> dict[str, torch.Tensor]:
    """By mixwise, in the names that the module has in memory."""
    live = LiveModel.load(opened(folder, "base"))
    pool = ExpertPool(live, {name: opened(folder, name) for name in SHARES})
    pool.merge(Mixture.proportional(SHARES), find_rule("linear").bind(pool))
    return dict(live.module.state_dict())


def merged_plainly(folder: Path) -> dict[str, torch.Tensor]:
    """By transformers alone: both experts loaded, every tensor averaged, router and all."""
    a, b = (AutoModelForCausalLM.from_pretrained(folder / name).state_dict() for name in SHARES)
    return {name: SHARES["a"] * a[name] + SHARES["b"] * b[name] for name in a}


def join(folder: Path) -> None:
    """Save a model as it is in memory: all experts of a layer in one tensor."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    shutil.rmtree(folder)
    model.save_pretrained(folder, save_original_format=False)


@pytest.mark.parametrize("joined", [(), ("a",), ("base", "a", "b"), ("base",)], ids=str)
def test_mixtures_of_experts_merge_to_the_plain_numbers(
    saved: Path, joined: tuple[str, ...]
) -> None:
    truth = merged_plainly(saved)
    assert any("experts.0." in name for name in load_file(saved / "a" / "model.safetensors"))
    for name in joined:
        join(saved / name)
    found = merged(saved)
    assert found.keys() == truth.keys()
    assert any("experts.gate_up_proj" in name for name in found)
    for name, values in truth.items():
        torch.testing.assert_close(found[name], values, rtol=1e-6, atol=1e-6)


def test_a_copy_is_made_once_and_again_when_it_is_damaged(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_config(KINDS["mixtral"]())
    model.save_pretrained(tmp_path / "base")
    first = opened(tmp_path, "base")
    [file] = {entry.file for entry in first.tensors.values()}
    written, made = file.read_bytes(), file.stat().st_mtime_ns
    assert opened(tmp_path, "base") == first
    assert file.stat().st_mtime_ns == made
    file.write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    assert opened(tmp_path, "base").fingerprint == first.fingerprint
    assert file.read_bytes() == written


def test_a_copy_keeps_precision_tokenizer_and_notes(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_config(KINDS["olmoe"]()).bfloat16()
    model.save_pretrained(tmp_path / "base")
    for name in ("tokenizer.json", "trainer_state.json"):
        (tmp_path / "base" / name).write_text(json.dumps({"of": name}))
    copy = opened(tmp_path, "base")
    assert {entry.dtype for entry in copy.tensors.values()} == {"BF16"}
    assert json.loads((copy.folder / "tokenizer.json").read_text()) == {"of": "tokenizer.json"}
    assert (copy.folder / "trainer_state.json").is_file()
    assert copy.folder != tmp_path / "base"


def test_what_is_stored_as_the_module_keeps_it_is_not_copied(tmp_path: Path) -> None:
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)).save_pretrained(
        tmp_path / "base"
    )
    assert opened(tmp_path, "base").folder == tmp_path / "base"
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize(
    ("dropped", "reason"),
    [
        (r"experts.1.w1", "cannot load its tensors"),
        (r"experts.2.", "must have shape"),
        (r"layers.0.block_sparse_moe.gate", "`model.layers.0.mlp.gate.weight` is missing"),
    ],
)
def test_an_expert_that_lacks_tensors_is_refused(dropped: str, reason: str, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_config(KINDS["mixtral"]())
    for name in ("base", "a"):
        model.save_pretrained(tmp_path / name)
    file = tmp_path / "a" / "model.safetensors"
    left = {name: tensor for name, tensor in load_file(file).items() if dropped not in name}
    save_file(left, file, metadata={"format": "pt"})
    live = LiveModel.load(opened(tmp_path, "base"))
    with pytest.raises(CheckpointError, match=reason):
        live.match(opened(tmp_path, "a"))
