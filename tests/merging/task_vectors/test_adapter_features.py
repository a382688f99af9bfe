from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from packaging.version import Version
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners import lora
from safetensors.torch import load_file, save_file
from tests.tiny_models import save_base
from transformers import AutoModelForCausalLM

from mixwise.errors import CheckpointError
from mixwise.merging.pool import write_checkpoint
from mixwise.merging.task_vectors.adapter_features import FEATURES, FREE, require_plain
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.live_model import LiveModel

IDS = torch.arange(24).view(2, 12) + 3
QV = ["q_proj", "v_proj"]
SETTINGS = {field.name: str(field.type) for field in dataclasses.fields(LoraConfig)}


def part(name: str, **values: Any) -> Any:
    """A configuration inside of another; None where the installed PEFT has none of this name."""
    kind = getattr(lora, name, None)
    return kind and kind(**values)


def is_there(config: dict[str, Any]) -> bool:
    """Whether the installed PEFT has these settings; older releases have fewer."""
    start = config.get("init_lora_weights")
    knows_start = not isinstance(start, str) or start in SETTINGS["init_lora_weights"]
    return config.keys() <= SETTINGS.keys() and knows_start


def test_the_newest_peft_has_all_settings_that_are_tried() -> None:
    left_out = [
        name for name, (_, config, *_) in {**MERGED, **REFUSED}.items() if not is_there(config)
    ]
    assert not left_out or Version(peft.__version__) < Version("0.21")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("bases")
    return {kind: save_base(kind, folder / kind) for kind in ("llama untied", "llama tied", "gpt2")}


def save_real(base: Checkpoint, folder: Path, **config: Any) -> Path:
    """An adapter that PEFT makes and saves, with every trainable number moved."""
    torch.manual_seed(0)
    settings = {"r": 4, "lora_alpha": 6, "target_modules": QV, "task_type": "CAUSAL_LM"} | config
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of heads that it saves, and of what it mends
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base.folder), LoraConfig(**settings)
        )
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad or "lora_A" in name:
                    parameter.add_(torch.randn(parameter.shape), alpha=0.2)
        model.save_pretrained(folder)
    return folder


def peft_logits(base: Checkpoint, folder: Path) -> torch.Tensor:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        plain = AutoModelForCausalLM.from_pretrained(base.folder)
        logits: torch.Tensor = PeftModel.from_pretrained(plain, folder).eval()(IDS).logits
    return logits


def logits_of(live: LiveModel) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = live.module(IDS).logits
    return logits


MERGED: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("llama untied", {}),
    "rank-stabilised": ("llama untied", {"use_rslora": True}),
    "dropout": ("llama untied", {"lora_dropout": 0.5}),
    "some layers": (
        "llama untied",
        {"layers_to_transform": [1], "layers_pattern": "layers"},
    ),
    "all but one": (
        "llama untied",
        {"target_modules": "all-linear", "exclude_modules": ["v_proj"]},
    ),
    "ranks by module": (
        "llama untied",
        {"rank_pattern": {"q_proj": 2, "layers.1.self_attn.v_proj": 3}, "use_rslora": True},
    ),
    "alphas by module": (
        "llama untied",
        {"alpha_pattern": {r".*\.0\..*q_proj": 40}, "rank_pattern": {r"layers\.1\..*": 5}},
    ),
    "gaussian": ("llama untied", {"init_lora_weights": "gaussian"}),
    "any start": ("llama untied", {"init_lora_weights": False}),
    "orthogonal": ("llama untied", {"init_lora_weights": "orthogonal"}),
    "mica": ("llama untied", {"init_lora_weights": "mica"}),
    "eva": ("llama untied", {"init_lora_weights": "eva", "eva_config": part("EvaConfig")}),
    "untied head": ("llama untied", {"target_modules": ["q_proj", "lm_head"]}),
    "head alone": ("llama untied", {"target_modules": ["lm_head"]}),
    "all linear, tied": ("llama tied", {"target_modules": "all-linear"}),
    "transposed": ("gpt2", {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
    "transposed, said wrong": ("gpt2", {"target_modules": ["c_attn", "c_proj"]}),
}


@pytest.mark.parametrize("name", [name for name in MERGED if is_there(MERGED[name][1])])
def test_adapter_with_weight_1_answers_as_in_peft(
    name: str, bases: dict[str, Checkpoint], tmp_path: Path
) -> None:
    kind, config = MERGED[name]
    folder = save_real(bases[kind], tmp_path / "a", **config)
    live = LiveModel.load(bases[kind])
    before = logits_of(live)
    write_checkpoint(live, open_checkpoint(folder))
    truth = peft_logits(bases[kind], folder)
    assert (truth - before).abs().max() > 0.01
    assert torch.allclose(logits_of(live), truth, atol=1e-5)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "dora": ("llama untied", {"use_dora": True}, r"`use_dora` .*DoRA rescales"),
    "activated": (
        "llama untied",
        {"alora_invocation_tokens": [5, 6]},
        r"`alora_invocation_tokens` .*\[5, 6\], but an activated LoRA changes only the tokens",
    ),
    "biases": ("llama untied", {"bias": "lora_only"}, r"`bias` .*trains the base's biases"),
    "factors' biases": ("llama untied", {"lora_bias": True}, r"`lora_bias` .*gives every factor a"),
    "whole modules": (
        "llama untied",
        {"modules_to_save": ["lm_head"]},
        r"`modules_to_save` .*\['lm_head'\], but of modules that were trained in full",
    ),
    "tokens": (
        "llama untied",
        {"trainable_token_indices": [3]},
        r"`trainable_token_indices` .*trained rows of the embedding",
    ),
    "more layers": (
        "llama untied",
        {"layer_replication": [[0, 2], [1, 2]]},
        r"`layer_replication` .*more layers than the base",
    ),
    "bare parameters": (
        "llama untied",
        {"target_modules": [], "target_parameters": ["q_proj.weight"]},
        r"`target_parameters` .*adapters of bare parameters",
    ),
    "pissa": ("llama untied", {"init_lora_weights": "pissa"}, "`init_lora_weights` .*base's own"),
    "olora": ("llama untied", {"init_lora_weights": "olora"}, "`init_lora_weights` .*base's own"),
    "qalora": ("llama untied", {"use_qalora": True}, r"`use_qalora` .*pooled inputs"),
    "kasa": (
        "llama untied",
        {"kasa_config": part("KasaConfig")},
        r"`kasa_config` .*KaSA truncates",
    ),
    "velora": (
        "llama untied",
        {"velora_config": part("VeloraConfig", num_groups=2)},
        "`velora_config`",
    ),
    "monteclora": (
        "llama untied",
        {"monteclora_config": part("MontecloraConfig")},
        "`monteclora_config` .*distribution of its factors",
    ),
    "block-diagonal": (
        "llama untied",
        {
            "use_bdlora": part(
                "BdLoraConfig", target_modules_bd_a=["q_proj"], nblocks=2, match_strict=False
            )
        },
        r"`use_bdlora` .*block-diagonal",
    ),
    "embedding": (
        "llama untied",
        {"target_modules": ["q_proj", "embed_tokens"]},
        "lora_embedding_A` adapts an embedding",
    ),
    "tied head": (
        "llama tied",
        {"target_modules": ["q_proj", "lm_head"]},
        "adapts `lm_head`, whose weight the base uses in another place too",
    ),
}


@pytest.mark.parametrize("name", [name for name in REFUSED if is_there(REFUSED[name][1])])
def test_adapter_that_is_more_is_refused_by_its_own_reason(
    name: str, bases: dict[str, Checkpoint], tmp_path: Path
) -> None:
    kind, config, text = REFUSED[name]
    folder = save_real(bases[kind], tmp_path / "a", **config)
    with pytest.raises(CheckpointError, match=text):
        LoraExpert(LiveModel.load(bases[kind]), open_checkpoint(folder))


def test_every_setting_of_peft_that_is_not_free_is_off_when_it_is_empty() -> None:
    for field in dataclasses.fields(LoraConfig):
        default = field.default
        if default is dataclasses.MISSING:
            assert field.default_factory is not dataclasses.MISSING
            default = field.default_factory()
        known = FEATURES.get(field.name)
        assert field.name in FREE or known is not None or not default, field.name
        if known is not None and default:
            assert default in known.plain, field.name


@pytest.mark.parametrize("value", [None, False, [], {}, ""])
def test_unknown_setting_that_is_off_passes(value: object) -> None:
    require_plain({"peft_type": "LORA", "use_newlora": value}, "a")


@pytest.mark.parametrize("value", [True, "on", {"x": 1}, 2])
def test_unknown_setting_that_is_on_is_refused_by_name(value: object) -> None:
    with pytest.raises(CheckpointError, match=r"a: `use_newlora` .*does not know.*train without"):
        require_plain({"peft_type": "LORA", "use_newlora": value}, "a")


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"peft_type": "LOHA"}, "`peft_type` .*'LOHA', but only LoRA"),
        ({"r": 4}, "must name its `peft_type`"),
        ({"peft_type": "LORA", "loftq_config": {"loftq_bits": 4}}, "`loftq_config`.*quantised"),
        ({"peft_type": "LORA", "init_lora_weights": "pissa_niter_4"}, "`init_lora_weights`"),
        ({"peft_type": "LORA", "corda_config": {"x": 1}}, "`corda_config`.*CorDA"),
        ({"peft_type": "LORA", "x": "y" * 999}, r"`x` .*'y{70,80}… *, a setting"),
    ],
)
def test_settings_that_only_a_file_can_hold(config: dict[str, Any], text: str) -> None:
    with pytest.raises(CheckpointError, match=text):
        require_plain(config, "a")


def rename(tensors: dict[str, torch.Tensor], old: str, new: str) -> None:
    for name in list(tensors):
        tensors[name.replace(old, new)] = tensors.pop(name)


def spoil(tensors: dict[str, torch.Tensor]) -> None:
    tensors[sorted(tensors)[1]][0, 0] = float("nan")


def widen(tensors: dict[str, torch.Tensor]) -> None:
    tensors[sorted(tensors)[1]] = torch.zeros(12, 9)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: rename(t, "base_model.model.", ""), "must begin with `base_model.model.`"),
        (lambda t: rename(t, ".weight", ".default.weight"), "holds the adapter's own name"),
        (lambda t: rename(t, "base_model.model.", "base_model.model.x."), "fits no weight of"),
        (lambda t: t.pop(sorted(t)[0]), r"lora_A.weight` is missing: save the adapter again"),
        (lambda t: t.pop(sorted(t)[1]), r"lora_B.weight` is missing: save the adapter again"),
        (lambda t: t.clear(), "the adapter holds no factors"),
        (spoil, "must be finite, but holds NaN"),
        (widen, r"must be of shapes \(4, 12\) and \(12, 4\).*but are \(4, 12\) and \(12, 9\)"),
        (
            lambda t: t.update({"base_model.model.lm_head.weight": torch.zeros(41, 12)}),
            "carries a `lm_head.weight` of its own, which differs from the base's",
        ),
        (
            lambda t: t.update({"base_model.model.lm_head.lora_magnitude_vector": torch.zeros(3)}),
            "cannot be merged, because DoRA",
        ),
        (
            lambda t: t.update({"base_model.model.lm_head.extra": torch.zeros(3)}),
            "is neither a factor of LoRA nor a weight",
        ),
        (
            lambda t: rename(t, "self_attn.q_proj", "input_layernorm"),
            "adapts `model.layers.0.input_layernorm`, a LlamaRMSNorm, and only",
        ),
    ],
)
def test_every_tensor_must_be_a_factor(
    change: Any, text: str, bases: dict[str, Checkpoint], tmp_path: Path
) -> None:
    base = bases["llama untied"]
    folder = save_real(base, tmp_path / "a", target_modules=["q_proj"])
    tensors = load_file(folder / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=text):
        LoraExpert(LiveModel.load(base), open_checkpoint(folder))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"r": None}, "`r` of adapter_config.json must be a whole number above 0, but is None"),
        ({"r": 0}, "`r` .*but is 0"),
        ({"r": "4"}, "`r` .*but is '4'"),
        ({"r": True}, "`r` .*but is True"),
        ({"r": 3}, r"must be of shapes \(3, 12\) and \(12, 3\)"),
        ({"lora_alpha": -1}, "`lora_alpha` .*must be a number above 0, but is -1"),
        ({"lora_alpha": "8"}, "`lora_alpha` .*but is '8'"),
        ({"lora_alpha": None}, "`lora_alpha` .*but is None"),
        ({"rank_pattern": ["q_proj"]}, "`rank_pattern` .*must be an object, but is"),
        ({"rank_pattern": {"q_proj": 0}}, "`rank_pattern.q_proj` .*but is 0"),
        ({"alpha_pattern": {"(": 4}}, r"`alpha_pattern` .*regular expressions, but is '\('"),
    ],
)
def test_ranks_and_alphas_must_be_there_and_true(
    changes: dict[str, Any], text: str, bases: dict[str, Checkpoint], tmp_path: Path
) -> None:
    base = bases["llama untied"]
    folder = save_real(base, tmp_path / "a")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(CheckpointError, match=text):
        LoraExpert(LiveModel.load(base), open_checkpoint(folder))


def test_size_and_zero_of_an_adapter(bases: dict[str, Checkpoint], tmp_path: Path) -> None:
    base = bases["llama untied"]
    folder = save_real(base, tmp_path / "a", rank_pattern={"q_proj": 2})
    live = LiveModel.load(base)
    expert = LoraExpert(live, open_checkpoint(folder))
    square = sum(float(expert.load(name).square().sum()) for name in expert.factors)
    assert expert.norm == pytest.approx(square**0.5, rel=1e-5)
    assert not expert.is_zero
    tensors = load_file(folder / "adapter_model.safetensors")
    for name, tensor in tensors.items():
        tensor.mul_(0.0 if "lora_B" in name else 1.0)
    save_file(tensors, folder / "adapter_model.safetensors")
    untrained = LoraExpert(live, open_checkpoint(folder))
    assert untrained.is_zero
    assert untrained.norm == 0
