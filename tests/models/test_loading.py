from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.families import Family, Tensors, edit
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertLMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    modeling_utils,
)
from transformers.utils import logging

from mixwise.errors import CheckpointError, MixwiseWarning
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.models.loading import Mismatch, NameMap, files_to_load, load_module, map_names
from mixwise.models.skeleton import Skeleton

SIZES: dict[str, Any] = {
    "vocab_size": 31,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
}


def mapped(module: Any, **changes: tuple[int, ...] | None) -> NameMap:
    """The map of a module's own tensors with some of them added, reshaped or taken away."""
    tensors = {name: ("F32", tuple(t.shape)) for name, t in module.state_dict().items()}
    for name, shape in changes.items():
        key = name.replace("__", ".")
        if shape is None:
            del tensors[key]
        else:
            tensors[key] = ("F32", shape)
    return map_names(module, Path("m"), tensors)


def head_of(module: Any) -> str:
    """Name of the head in the module, which releases have changed for GPT-NeoX."""
    head = module.get_output_embeddings().weight
    return next(name for name, tensor in module.named_parameters() if tensor is head)


@pytest.fixture(scope="module")
def llama() -> LlamaForCausalLM:
    return LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=2))


def test_own_names_are_mapped_to_themselves(llama: LlamaForCausalLM) -> None:
    assert mapped(llama) == NameMap({name: name for name in llama.state_dict()})


def test_what_does_not_fit_is_told(llama: LlamaForCausalLM) -> None:
    found = mapped(llama, model__norm__weight=None, lm_head__weight=(30, 8), extra=(2,))
    assert found.missing == ("model.norm.weight",)
    assert found.mismatched == (Mismatch("lm_head.weight", (30, 8), (31, 8)),)
    assert found.unexpected == ("extra",)
    assert not found.converted


def test_tensors_that_transformers_leaves_out_are_left_out(llama: LlamaForCausalLM) -> None:
    found = mapped(llama, model__layers__0__self_attn__rotary_emb__inv_freq=(2,))
    assert found == mapped(llama)


def test_other_names_of_the_same_tensor_are_known() -> None:
    module = GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES))
    changes = {head_of(module).replace(".", "__"): None, "embed_out__weight": (31, 8)}
    found = mapped(module, **changes)
    assert found.stored[head_of(module)] == "embed_out.weight"
    assert not found.unexpected
    assert not found.missing


def test_tied_tensors_that_are_both_stored_stand_for_themselves() -> None:
    config = LlamaConfig(**SIZES, num_key_value_heads=2, tie_word_embeddings=True)
    found = mapped(LlamaForCausalLM(config))
    assert found.stored["lm_head.weight"] == "lm_head.weight"
    assert found.stored["model.embed_tokens.weight"] == "model.embed_tokens.weight"


def test_tied_tensor_that_is_stored_once_has_one_source() -> None:
    config = LlamaConfig(**SIZES, num_key_value_heads=2, tie_word_embeddings=True)
    found = mapped(LlamaForCausalLM(config), lm_head__weight=None)
    assert found.stored["lm_head.weight"] == "model.embed_tokens.weight"


def test_bias_of_a_tied_head_is_found() -> None:
    found = mapped(BertLMHeadModel(BertConfig(**SIZES, is_decoder=True)))
    assert found.stored["cls.predictions.bias"].endswith("bias")
    assert not found.converted


def test_joined_tensors_are_no_renaming(tmp_path: Path) -> None:
    module = MixtralForCausalLM(
        MixtralConfig(**SIZES, num_key_value_heads=2, num_local_experts=2, num_experts_per_tok=1)
    )
    module.save_pretrained(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"`model\S+experts\S+` is not stored as .* can be merged: open"
    ):
        LiveModel.load(open_checkpoint(tmp_path))
    module.save_pretrained(tmp_path, save_original_format=False)
    LiveModel.load(open_checkpoint(tmp_path))


def test_transposed_square_is_no_renaming(
    llama: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import core_model_loading

    target = "self_attn.q_proj.weight"
    turn = core_model_loading.WeightConverter(
        source_patterns=target, target_patterns=target, operations=[core_model_loading.Transpose()]
    )
    monkeypatch.setattr(modeling_utils, "get_model_conversion_mapping", lambda *_, **__: [turn])
    assert list(mapped(llama).converted.values()) == [f"model.layers.0.{target}"]


def test_nothing_is_left_behind(llama: LlamaForCausalLM) -> None:
    torch.manual_seed(0)
    drawn = torch.rand(1)
    torch.manual_seed(0)
    before = logging.get_verbosity(), torch.get_default_dtype()
    mapped(llama, model__norm__weight=None)
    assert (logging.get_verbosity(), torch.get_default_dtype()) == before
    assert torch.equal(torch.rand(1), drawn)
    assert not any(tensor.is_meta for tensor in llama.state_dict().values())


def test_module_of_another_make_has_its_own_names() -> None:
    found = mapped(torch.nn.Linear(3, 2), bias=(3,), extra=(1,))
    assert found.stored == {"weight": "weight"}
    assert found.mismatched == (Mismatch("bias", (3,), (2,)),)
    assert found.unexpected == ("extra",)


def test_transformers_that_cannot_be_asked_is_refused_by_name(
    families: dict[str, Family], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(modeling_utils, "_get_resolved_checkpoint_files")
    with pytest.raises(CheckpointError, match=r"transformers \S+ cannot be asked which files"):
        files_to_load(families["llama"].base, None)


def test_transformers_that_asks_for_more_is_refused_by_name(
    families: dict[str, Family], monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(folder: str, something_new: int) -> None: ...

    monkeypatch.setattr(modeling_utils, "_get_resolved_checkpoint_files", resolve)
    with pytest.raises(CheckpointError, match=r"transformers \S+ cannot be asked which files"):
        files_to_load(families["llama"].base, None)


def test_what_training_saves_opens_again(tmp_path: Path) -> None:
    GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES)).save_pretrained(tmp_path / "base")
    base = open_checkpoint(tmp_path / "base")
    assert "embed_out.weight" in base.tensors
    model = load_module(base.folder)
    model.save_pretrained(tmp_path / "expert", state_dict=model.state_dict())
    expert = open_checkpoint(tmp_path / "expert")
    live = LiveModel.load(base)
    assert live.match(expert)[head_of(model)] == "embed_out.weight"


def test_skeleton_knows_the_same_names(tmp_path: Path) -> None:
    module = GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES))
    module.save_pretrained(tmp_path)
    head = Skeleton(open_checkpoint(tmp_path)).live.base_tensor(head_of(module))
    assert torch.equal(head, module.get_output_embeddings().weight)


def test_skeleton_of_a_base_that_is_untied_against_its_config_is_refused(
    families: dict[str, Family], tmp_path: Path
) -> None:
    odd = Path(shutil.copytree(families["llama"].base, tmp_path / "odd"))
    name = "model.embed_tokens.weight"
    edit(odd, lambda tensors: tensors.update({"lm_head.weight": 2 * tensors[name]}))
    base = open_checkpoint(odd)
    assert LiveModel.load(base).match(base)["lm_head.weight"] == "lm_head.weight"
    with pytest.raises(CheckpointError, match=r"but they differ: set `tie_word_embeddings` to fal"):
        Skeleton(base).live.match(base)


def test_tensor_without_a_place_in_the_base_is_refused(
    families: dict[str, Family], tmp_path: Path
) -> None:
    odd = Path(shutil.copytree(families["llama"].base, tmp_path / "odd"))
    bias = "model.layers.0.self_attn.q_proj.bias"
    edit(odd, lambda tensors: tensors.update({bias: torch.ones(18)}))
    AutoModelForCausalLM.from_pretrained(odd)  # transformers itself only warns
    with pytest.raises(CheckpointError, match=rf"`{bias}` has no place in the LlamaForCausalLM"):
        LiveModel.load(open_checkpoint(odd))


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_modules_that_the_architecture_has_not_are_left_out_and_named(
    prefix: str, families: dict[str, Family], tmp_path: Path
) -> None:
    odd = Path(shutil.copytree(families["llama"].base, tmp_path / "odd"))

    def change(tensors: Tensors) -> None:
        own = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
        tensors.clear()
        tensors.update({prefix + name: tensor.clone() for name, tensor in own.items()})
        tensors.update({"mtp.0.weight": torch.ones(2), "mtp.1.weight": torch.ones(2)})

    edit(odd, change)
    told = r"2 of its tensors, the first `mtp.0.weight`, belong to modules that no LlamaForCausalLM"
    with pytest.warns(MixwiseWarning, match=told):
        live = LiveModel.load(open_checkpoint(odd))
    with pytest.raises(CheckpointError, match=r"`mtp.0.weight` is not part of the base model"):
        LiveModel.load(open_checkpoint(families["llama"].base)).match(live.base)
