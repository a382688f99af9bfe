from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.conftest import write_rows
from transformers import AutoModelForCausalLM, PretrainedConfig

from mixwise.errors import CheckpointError, DataError, EvaluationError, RecipeError
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.recipe import load_recipe
from mixwise.stages.check import require_inputs
from mixwise.stages.probe import require_sound
from mixwise.study.inputs import Inputs, Settings

SIZES: Mapping[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
MPT: Mapping[str, Any] = {"vocab_size": 320, "d_model": 16, "n_heads": 2, "n_layers": 2}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 16,
}


def inputs_of(pico: Path, *edits: tuple[str, str]) -> Inputs:
    text = (pico / "recipe.yaml").read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (pico / "recipe.yaml").write_text(text)
    return Inputs(load_recipe(pico / "recipe.yaml"), Settings(pico, pico / "tokens"))


def put_base(pico: Path, config: PretrainedConfig, scale: float = 0.0) -> None:
    """Another architecture under the pico tokenizer."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape))
    for file in ("model.safetensors", "config.json"):
        (pico / "base" / file).unlink()
    model.save_pretrained(pico / "base")


def ask_long_questions(pico: Path, *n_words: int) -> None:
    rows = [
        {"prompt": "one two " * n + str(k), "choices": [" three", " trois"], "answer": k % 2}
        for k, n in enumerate(n_words)
    ]
    write_rows(pico / "quiz.jsonl", list(rows))


def spoil_tensor(pico: Path) -> None:
    file = pico / "base" / "model.safetensors"
    tensors = load_file(file)
    tensors["model.layers.1.mlp.up_proj.weight"][3, 2] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})


def spoil_number(pico: Path) -> None:
    file = pico / "base" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"rms_norm_eps": float("nan")}))


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (spoil_tensor, "tensor `model.layers.1.mlp.up_proj.weight` of the base holds numbers that"),
        (spoil_number, "cannot read two tokens.*config.json has rms_norm_eps = nan: correct it"),
    ],
)
def test_a_base_that_is_not_finite_is_named(
    spoil: Callable[[Path], None], text: str, pico: Path
) -> None:
    spoil(pico)
    with pytest.raises(CheckpointError, match=text):
        require_inputs(inputs_of(pico))


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        (transformers.BertConfig(**SIZES), "or set `is_decoder: true`"),
        (transformers.RobertaConfig(**SIZES, pad_token_id=1), "or set `is_decoder: true`"),
        (transformers.ElectraConfig(**SIZES), "or set `is_decoder: true`"),
        (transformers.XLMConfig(vocab_size=320, emb_dim=16, n_layers=2, n_heads=2), "`causal: t"),
        (
            transformers.XLNetConfig(vocab_size=320, d_model=16, n_layer=2, n_head=2, d_inner=32),
            "give a decoder$",
        ),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_an_encoder_is_refused(config: PretrainedConfig, remedy: str, pico: Path) -> None:
    put_base(pico, config)
    with pytest.raises(CheckpointError, match=f"the base is not causal.*no loss.*{remedy}"):
        require_inputs(inputs_of(pico))


@pytest.mark.parametrize(
    "config",
    [
        transformers.BertConfig(**SIZES, is_decoder=True),
        transformers.RobertaConfig(**SIZES, is_decoder=True, pad_token_id=1),
        transformers.MptConfig(**MPT, max_seq_len=64),
        transformers.BloomConfig(vocab_size=320, hidden_size=16, n_layer=2, n_head=2),
        transformers.GPT2Config(vocab_size=320, n_embd=16, n_layer=2, n_head=2, n_positions=64),
        transformers.MambaConfig(vocab_size=320, hidden_size=16, num_hidden_layers=2),
        transformers.Gemma2Config(**SIZES, num_key_value_heads=1, head_dim=8, sliding_window=5),
    ],
    ids=lambda config: config.model_type,
)
@pytest.mark.filterwarnings("ignore:.*prompts are read anew with every choice")
def test_a_decoder_passes(config: PretrainedConfig, pico: Path) -> None:
    put_base(pico, config, scale=0.2)
    ask_long_questions(pico, 1, 5, 200)
    require_inputs(inputs_of(pico))


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        (transformers.MptConfig(**MPT, max_seq_len=64), 64),
        (
            transformers.RobertaConfig(
                **SIZES, is_decoder=True, pad_token_id=1, max_position_embeddings=66
            ),
            64,
        ),
    ],
    ids=["mpt", "roberta"],
)
def test_the_context_is_what_the_model_reads(
    config: PretrainedConfig, limit: int, pico: Path
) -> None:
    put_base(pico, config)
    horizon = "horizon_tokens: 256\nsequence_length: 16"
    inputs = inputs_of(pico, (horizon, "horizon_tokens: 400\nsequence_length: 65"))
    assert inputs.context_tokens == limit
    with pytest.raises(DataError, match=f"`sequence_length` must be at most {limit}"):
        require_inputs(inputs)


def test_a_configuration_that_promises_too_much_is_found_out_by_reading(pico: Path) -> None:
    """A table of 40 positions, of which config.json says that they are 64."""
    config = transformers.GPT2Config(vocab_size=320, n_embd=16, n_layer=2, n_head=2, n_positions=64)
    put_base(pico, config)
    ask_long_questions(pico, 1, 200)
    inputs = inputs_of(pico, ("sequence_length: 16", "sequence_length: 50"))
    live = require_inputs(inputs)
    table = live.module.get_submodule("transformer.wpe")
    table.weight = torch.nn.Parameter(table.weight[:40])
    with pytest.raises(RecipeError) as caught:
        require_sound(live, inputs)
    text, quiz = str(caught.value).splitlines()
    assert text.startswith("`sequence_length`: rows have 50 tokens, but the base reads at most 40")
    assert "in a table of 40 rows): lower it to 40" in text
    assert quiz.startswith("`evaluation.sets.quiz`: its longest row has 64 tokens, but the base")


def test_rows_of_longrope_stand_apart_by_length(pico: Path) -> None:
    put_base(
        pico,
        transformers.Phi3Config(
            **SIZES,
            num_key_value_heads=1,
            max_position_embeddings=64,
            original_max_position_embeddings=16,
            rope_parameters=LONGROPE,
            pad_token_id=None,
        ),
        scale=0.2,
    )
    ask_long_questions(pico, 1, 2, 3, 8, 12)
    inputs = inputs_of(pico, ("batch_sequences: 4\n", "batch_sequences: 100\n"))
    assert inputs.suite.apart == (16,)
    live = require_inputs(inputs)
    inputs.suite = replace(inputs.suite, apart=())
    with pytest.raises(
        EvaluationError, match=r"quiz`: a row of .* because the base reads a row by"
    ):
        require_sound(live, inputs)


@pytest.mark.parametrize("config", [transformers.BloomConfig, transformers.MptConfig])
def test_a_base_that_does_not_keep_documents_apart_is_refused(
    config: Callable[..., PretrainedConfig], pico: Path
) -> None:
    sizes = MPT if config is transformers.MptConfig else SIZES
    put_base(pico, config(**sizes), scale=0.3)
    inputs = inputs_of(pico, ("base: base\n", "base: base\ndocument_masking: true\n"))
    with pytest.raises(RecipeError, match=r"`document_masking`: the base does .*set it to false"):
        require_inputs(inputs)


def test_a_base_that_keeps_documents_apart_is_sound(pico: Path) -> None:
    inputs = inputs_of(pico, ("base: base\n", "base: base\ndocument_masking: true\n"))
    require_inputs(inputs)
    assert not any(chosen.heldout.is_plain for chosen in text_sets(inputs))


def text_sets(inputs: Inputs) -> list[TextSet]:
    return [chosen for chosen in inputs.suite.sets if isinstance(chosen, TextSet)]
