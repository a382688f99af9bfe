from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    PhimoeConfig,
    PretrainedConfig,
    Qwen2Config,
    RobertaConfig,
)

from mixwise.errors import CheckpointError
from mixwise.merging.fit.config import compare_configs
from mixwise.merging.pool import ExpertPool
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 320,
}


def save(folder: Path, config: PretrainedConfig, **changes: Any) -> Path:
    config.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def llama(folder: Path, **changes: Any) -> Path:
    return save(folder, LlamaConfig(**SIZES), **changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}},
            r"`rope_parameters.rope_theta` of config.json must be that of the base, 10000.0.*, but "
            r"is 500000.0: use",
        ),
        ({"rope_parameters": None, "rope_theta": 5e5}, r"`rope_parameters.rope_theta`"),
        (
            {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": None},
            r"`rope_parameters.factor` .* 'absent', .* is 2.0 \(1 more differ\)",
        ),
        ({"rms_norm_eps": 1e-5}, "`rms_norm_eps` .* 1e-06, .* 1e-05"),
        ({"hidden_act": "gelu"}, "`hidden_act` .* 'silu', .* 'gelu'"),
        ({"attention_bias": True}, "`attention_bias`"),
        ({"num_key_value_heads": 1}, "`num_key_value_heads`"),
        ({"tie_word_embeddings": True}, "`tie_word_embeddings`"),
        ({"sliding_window": 64}, "`sliding_window` .* 'absent', .* is 64"),
        ({"logit_scale": 0.5}, "`logit_scale`"),
        ({"vocab_size": 321, "architectures": ["LlamaModel"]}, "`vocab_size`"),
    ],
)
def test_difference_that_decides_is_refused_by_name(
    changes: dict[str, Any], text: str, tmp_path: Path
) -> None:
    base = llama(tmp_path / "base")
    with pytest.raises(CheckpointError, match=text):
        compare_configs(base, llama(tmp_path / "a", **changes), LlamaConfig)


def test_class_comes_first(tmp_path: Path) -> None:
    base = llama(tmp_path / "base", architectures=["LlamaForCausalLM"])
    other = llama(tmp_path / "a", architectures=["LlamaModel"], attention_bias=True)
    with pytest.raises(CheckpointError, match=r"`architectures` .*\(1 more differ\)"):
        compare_configs(base, other, LlamaConfig)
    kind = save(tmp_path / "b", Qwen2Config(**SIZES))
    with pytest.raises(CheckpointError, match=r"`model_type` .* 'llama', .* 'qwen2'"):
        compare_configs(base, kind, LlamaConfig)


def test_differences_that_decide_no_score_are_told(tmp_path: Path) -> None:
    changes = {
        "use_cache": False,
        "attention_dropout": 0.1,
        "dtype": "bfloat16",
        "initializer_range": 0.5,
        "eos_token_id": [2, 3],
        "architectures": ["LlamaForCausalLM"],
        "max_position_embeddings": 4096,
        "unsloth_fixed": True,
        "id2label": {"0": "x"},
    }
    found = compare_configs(llama(tmp_path / "base"), llama(tmp_path / "a", **changes), LlamaConfig)
    assert found == tuple(sorted(changes.keys() | {"label2id"}))


def test_spelling_of_an_older_file_is_no_difference(tmp_path: Path) -> None:
    base = llama(tmp_path / "base")
    old = llama(tmp_path / "old")
    content = json.loads((old / "config.json").read_text())
    del content["rope_parameters"], content["head_dim"], content["mlp_bias"]
    content |= {"rope_theta": 10000, "rope_scaling": None, "torch_dtype": "float32"}
    (old / "config.json").write_text(json.dumps(content))
    assert set(compare_configs(base, old, LlamaConfig)) == {"dtype"}
    two = {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": None}
    new = {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}
    compare_configs(llama(tmp_path / "x", **two), llama(tmp_path / "y", **new), LlamaConfig)


@pytest.mark.parametrize("kind", ["dynamic", "yarn"])
def test_length_decides_where_angles_depend_on_it(kind: str, tmp_path: Path) -> None:
    angles = {"rope_type": kind, "factor": 2.0, "rope_theta": 10000.0}
    base = llama(tmp_path / "base", rope_parameters=angles)
    longer = llama(tmp_path / "a", rope_parameters=angles, max_position_embeddings=4096)
    with pytest.raises(CheckpointError, match="`max_position_embeddings`"):
        compare_configs(base, longer, LlamaConfig)


def test_learned_positions_decide(tmp_path: Path) -> None:
    base = save(tmp_path / "base", GPT2Config(n_layer=1))
    with pytest.raises(CheckpointError, match=r"`n_positions` .* 1024, .* 512"):
        compare_configs(
            base, save(tmp_path / "a", GPT2Config(n_layer=1, n_positions=512)), GPT2Config
        )


def test_padding_decides_where_positions_are_counted_from_it(tmp_path: Path) -> None:
    pads = {"pad_token_id": 7}
    assert compare_configs(llama(tmp_path / "a"), llama(tmp_path / "b", **pads), LlamaConfig) == (
        "pad_token_id",
    )
    base = save(tmp_path / "base", RobertaConfig(num_hidden_layers=1))
    with pytest.raises(CheckpointError, match=r"`pad_token_id` of config.json"):
        compare_configs(
            base, save(tmp_path / "c", RobertaConfig(num_hidden_layers=1), **pads), RobertaConfig
        )


def test_jitter_that_also_masks_experts_decides(tmp_path: Path) -> None:
    base = save(tmp_path / "base", PhimoeConfig(**SIZES), router_jitter_noise=0.01)
    other = save(tmp_path / "a", PhimoeConfig(**SIZES), router_jitter_noise=0.3)
    with pytest.raises(CheckpointError, match=r"`router_jitter_noise` .* 0.01, .* 0.3"):
        compare_configs(base, other, PhimoeConfig)


def test_unused_window_is_no_difference(tmp_path: Path) -> None:
    base = save(tmp_path / "base", Qwen2Config(**SIZES), sliding_window=4096, max_window_layers=21)
    other = save(tmp_path / "a", Qwen2Config(**SIZES), sliding_window=64, max_window_layers=28)
    assert set(compare_configs(base, other, Qwen2Config)) == {"max_window_layers"}
    used = {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 0}
    used["layer_types"] = ["sliding_attention"] * 2
    windowed = save(tmp_path / "b", Qwen2Config(**SIZES), **used)
    with pytest.raises(CheckpointError, match=r"`layer_types` of config.json must be"):
        compare_configs(base, windowed, Qwen2Config)


class OwnConfig(PretrainedConfig):
    """The configuration of a class that is code in the model's folder."""

    model_type = "own"

    def __init__(self, slope: float = 2.0, **rest: Any) -> None:
        self.slope = slope
        super().__init__(**rest)


def test_class_of_the_models_own_code_fills_in_its_defaults(tmp_path: Path) -> None:
    places = {"AutoConfig": "someone/model--own.OwnConfig"}
    base = save(tmp_path / "base", OwnConfig(), auto_map=places)
    same = save(tmp_path / "a", OwnConfig(), auto_map={"AutoConfig": "own.OwnConfig"})
    content = json.loads((same / "config.json").read_text())
    content.pop("slope", None)
    (same / "config.json").write_text(json.dumps(content))
    assert compare_configs(base, same, OwnConfig) == ()
    with pytest.raises(CheckpointError, match=r"`slope` .* 2.0, .* 3.0"):
        compare_configs(base, save(tmp_path / "b", OwnConfig(slope=3.0)), OwnConfig)
    other = save(tmp_path / "c", OwnConfig(), auto_map={"AutoConfig": "new.OwnConfig"})
    with pytest.raises(CheckpointError, match=r"`auto_map.AutoConfig` .* 'own.OwnConfig'"):
        compare_configs(base, other, OwnConfig)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "an expert needs its `config.json`"),
        ("{", "config.json cannot be read"),
        ("[]", "config.json must hold a JSON object"),
        ('{"model_type": "llama", "hidden_size": "x"}', "config.json cannot be used"),
    ],
)
def test_configuration_must_be_readable(content: str | None, text: str, tmp_path: Path) -> None:
    base = llama(tmp_path / "base")
    (tmp_path / "a").mkdir()
    if content is not None:
        (tmp_path / "a" / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=text):
        compare_configs(base, tmp_path / "a", LlamaConfig)


def test_pool_compares_experts_that_have_the_same_tensors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(tmp_path / "base")
    shutil.copytree(tmp_path / "base", tmp_path / "a")
    config = tmp_path / "a" / "config.json"
    config.write_text(config.read_text().replace("10000.0", "5000.0"))
    live = LiveModel.load(open_checkpoint(tmp_path / "base"))
    with pytest.raises(CheckpointError, match=r"`rope_parameters.rope_theta` .*10000.0.*5000.0"):
        ExpertPool(live, {"a": open_checkpoint(tmp_path / "a")})
