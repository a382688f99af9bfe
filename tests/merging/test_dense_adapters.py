from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tests.tiny_models import save_adapter, save_base, save_full_expert
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, MixtralConfig, MixtralForCausalLM

from mixwise.errors import CheckpointError
from mixwise.merging.dense_adapters import as_full_model, is_dense
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rule_table import find_rule
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import ADAPTER_FILE, Checkpoint, open_checkpoint
from mixwise.models.copies import Copies
from mixwise.models.live_model import LiveModel
from mixwise.models.loading import load_module

IDS = torch.arange(24).view(2, 12) + 3
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "DoRA": ("llama tied", {"use_dora": True}),
    "DoRA, rsLoRA, ranks": (
        "llama untied",
        {"use_dora": True, "use_rslora": True, "rank_pattern": {"q_proj": 2}},
    ),
    "biases": ("gpt2", {"bias": "all"}),
    "biases of the factors": ("gpt2", {"lora_bias": True}),
    "a head": ("llama untied", {"modules_to_save": ["lm_head"]}),
    "an embedding and norms": ("llama untied", {"modules_to_save": ["embed_tokens", "norm"]}),
    "a tied embedding": (
        "llama tied",
        {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    ),
    "single tokens": ("llama tied", {"trainable_token_indices": [3, 5]}),
    "factors of an embedding": ("llama untied", {"target_modules": ["embed_tokens", "q_proj"]}),
}


def save_real(base: Checkpoint, folder: Path, **config: Any) -> Checkpoint:
    """An adapter that PEFT makes and saves, with every trainable number moved."""
    module = load_module(base.folder)
    is_gpt2 = module.config.model_type == "gpt2"
    settings = {"r": 3, "lora_alpha": 5, "target_modules": "all-linear"} | config
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(module, LoraConfig(fan_in_fan_out=is_gpt2, **settings))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
        model.save_pretrained(folder)
    return open_checkpoint(folder)


@torch.no_grad()
def logits_of(module: Any) -> torch.Tensor:
    logits: torch.Tensor = module.eval()(input_ids=IDS).logits
    return logits


def on_top(base: Checkpoint, adapter: Checkpoint) -> torch.Tensor:
    """Logits of the base with the adapter on top, by PEFT alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(load_module(base.folder), str(adapter.folder))
    return logits_of(model)


@pytest.mark.parametrize("name", KINDS)
def test_weight_one_returns_the_expert_that_peft_has(name: str, tmp_path: Path) -> None:
    kind, config = KINDS[name]
    base = save_base(kind, tmp_path / "base")
    adapter = save_real(base, tmp_path / "adapter", **config)
    assert is_dense(adapter)
    expert = as_full_model(adapter, base, Copies(tmp_path / "copies"))
    live = LiveModel.load(base)
    before = logits_of(live.module).clone()
    pool = ExpertPool(live, {"a": expert})
    pool.merge(Mixture.single(("a",), "a"), find_rule("linear").bind(pool))
    truth = on_top(base, adapter)
    assert float((truth - before).abs().max()) > 0.05
    torch.testing.assert_close(logits_of(live.module), truth, rtol=1e-5, atol=1e-5)


def test_half_of_two_kinds_and_a_full_model_is_the_average_of_their_weights(
    tmp_path: Path,
) -> None:
    base = save_base("llama untied", tmp_path / "base")
    copies = Copies(tmp_path / "copies")
    given = {
        "dora": save_real(base, tmp_path / "dora", use_dora=True),
        "plain": save_adapter(base, tmp_path / "plain", 2, targets=["q_proj", "up_proj"]),
        "rs": save_real(base, tmp_path / "rs", use_rslora=True, r=2, target_modules=["v_proj"]),
        "full": save_full_expert(base, tmp_path / "full", 3),
    }
    assert [is_dense(given[name]) for name in ("dora", "plain", "rs")] == [True, False, False]
    full = {n: as_full_model(c, base, copies) if c.is_adapter else c for n, c in given.items()}
    live = LiveModel.load(base)
    pool = ExpertPool(live, full)
    pool.merge(Mixture.uniform(tuple(full)), find_rule("linear").bind(pool))
    states = []
    for name, checkpoint in given.items():
        module = load_module(base.folder if name != "full" else checkpoint.folder)
        if checkpoint.is_adapter:
            module = PeftModel.from_pretrained(module, str(checkpoint.folder)).merge_and_unload()
        states.append(module.state_dict())
    for name, tensor in live.module.state_dict().items():
        mean = torch.stack([state[name].double() for state in states]).mean(0)
        torch.testing.assert_close(tensor.double(), mean, rtol=0, atol=1e-6)


def test_factors_of_joined_experts_become_a_full_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 41}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": 3}
    model = MixtralForCausalLM(MixtralConfig(**sizes, **heads))
    model.save_pretrained(tmp_path / "base", save_original_format=False)
    base = open_checkpoint(tmp_path / "base")
    settings = {"target_modules": ["q_proj"], "target_parameters": ["mlp.experts.down_proj"]}
    adapter = save_real(base, tmp_path / "adapter", **settings)
    expert = as_full_model(adapter, base, Copies(tmp_path / "copies"))
    name = "model.layers.0.mlp.experts.down_proj"
    assert not torch.equal(expert.load_tensor(name), base.load_tensor(name))
    truth = on_top(base, adapter)
    torch.testing.assert_close(logits_of(load_module(expert.folder)), truth, rtol=1e-5, atol=1e-5)


def test_factors_of_a_head_that_is_renamed_on_load(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 41}
    config = GPTNeoXConfig(**sizes, num_attention_heads=2)
    GPTNeoXForCausalLM(config).save_pretrained(tmp_path / "base")
    base = open_checkpoint(tmp_path / "base")
    assert "embed_out.weight" in base.tensors
    adapter = save_real(base, tmp_path / "adapter", target_modules=["lm_head", "dense"])
    expert = as_full_model(adapter, base, Copies(tmp_path / "copies"))
    truth = on_top(base, adapter)
    torch.testing.assert_close(logits_of(load_module(expert.folder)), truth, rtol=1e-5, atol=1e-5)


def test_settings_of_which_no_merged_model_is_known_are_refused(tmp_path: Path) -> None:
    base = save_base("llama tied", tmp_path / "base")
    adapter = save_real(base, tmp_path / "adapter", use_dora=True)
    path = adapter.folder / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"alora_invocation_tokens": [3]}))
    with pytest.raises(CheckpointError, match=r"`alora_invocation_tokens` .* changes only the"):
        is_dense(open_checkpoint(adapter.folder))
    path.write_text(json.dumps(config | {"use_new_thing": True}))
    with pytest.raises(CheckpointError, match=r"`use_new_thing` .* does not know"):
        is_dense(open_checkpoint(adapter.folder))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop(min(t)), "is missing, which its adapter_config.json asks for"),
        (lambda t: t.update({"base_model.model.odd": torch.ones(2)}), "`.*odd` is not what PEFT"),
    ],
)
def test_tensors_that_peft_would_make_up_or_leave_out_are_refused(
    change: Any, reason: str, tmp_path: Path
) -> None:
    base = save_base("llama tied", tmp_path / "base")
    adapter = save_real(base, tmp_path / "adapter", use_dora=True)
    tensors = load_file(adapter.folder / ADAPTER_FILE)
    change(tensors)
    save_file(tensors, adapter.folder / ADAPTER_FILE, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=reason):
        as_full_model(open_checkpoint(adapter.folder), base, Copies(tmp_path / "copies"))
    assert not list((tmp_path / "copies").iterdir())


@pytest.mark.parametrize(
    "config", [{"target_modules": ["embed_tokens"]}, {"modules_to_save": ["lm_head"]}], ids=str
)
def test_what_is_tied_and_trained_in_one_place_is_refused(
    config: dict[str, Any], tmp_path: Path
) -> None:
    base = save_base("llama tied", tmp_path / "base")
    adapter = save_real(base, tmp_path / "adapter", **config)
    with pytest.raises(CheckpointError, match=r"which the base ties, so no model of its kind"):
        as_full_model(adapter, base, Copies(tmp_path / "copies"))
