from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny_models import save_adapter

from mixwise.errors import CheckpointError
from mixwise.models.checkpoint import open_checkpoint
from mixwise.recipe import load_recipe
from mixwise.stages.check import require_inputs
from mixwise.study.expert_training import TrainingFacts, read_training_facts
from mixwise.study.expert_warnings import collect_expert_warnings
from mixwise.study.inputs import Inputs, Settings

DOMAINS = ("alpha", "beta", "gamma")
LIKE_THE_RECIPE = {
    "log_history": [{"learning_rate": 1e-3}, {"learning_rate": 3e-3}, {"loss": 1.0}],
    "num_input_tokens_seen": 256,
}
ADVICE = "train the experts alike, or set the recipe to how they were"


def warnings_of(pico: Path, training: str = "") -> list[str]:
    """What is said of brought experts, in folders named after the domains."""
    text = (pico / "recipe.yaml").read_text().replace("training: {", f"training: {{{training}")
    for name in DOMAINS:
        old = f"{name}: {{files: {name}.jsonl}}"
        text = text.replace(old, f"{old[:-1]}, expert: {name}}}")
    (pico / "recipe.yaml").write_text(text)
    inputs = Inputs(load_recipe(pico / "recipe.yaml"), Settings(pico, pico / "tokens"))
    return collect_expert_warnings(require_inputs(inputs), inputs)


def bring_full(pico: Path, name: str, size: float = 0.01, only: str = "") -> Path:
    """An expert whose tensors, or those that the text names, moved by some size."""
    folder = Path(shutil.copytree(pico / "base", pico / name))
    tensors = load_file(folder / "model.safetensors")
    moved = {k: t + size * float(only in k) * torch.ones_like(t) for k, t in tensors.items()}
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "trainer_state.json").write_text(json.dumps(LIKE_THE_RECIPE))
    return folder


def bring_adapter(pico: Path, name: str, **changes: Any) -> Path:
    folder = pico / name
    save_adapter(open_checkpoint(pico / "base"), folder, 1)  # rank 2, alpha 3
    (folder / "trainer_state.json").write_text(json.dumps(LIKE_THE_RECIPE))
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(content | changes))


def test_experts_that_were_trained_alike_get_no_word(pico: Path) -> None:
    for name in DOMAINS:
        bring_full(pico, name)
    assert warnings_of(pico) == []


def test_adapters_that_were_trained_alike_get_one_word_on_their_tokenizer(pico: Path) -> None:
    for name in DOMAINS:
        bring_adapter(pico, name)
    told = warnings_of(pico, "method: lora, lora: {rank: 2, alpha: 3}, ")
    assert len(told) == 1
    assert told[0].startswith("`domains.alpha.expert`, `domains.beta.expert`, `domains.gamma.exp")
    assert told[0].endswith("no tokenizer beside it, so it is taken to be the base's")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda f: edit_json(f / "trainer_state.json", log_history=[{"learning_rate": 1e-4}]),
            "a learning rate of 0.0001, but `training.learning_rate` is 0.003",
        ),
        (
            lambda f: edit_json(f / "trainer_state.json", num_input_tokens_seen=9999),
            "it read 9,999 tokens, but the recipe's experts read 256 (`experts.horizon_tokens`)",
        ),
        (
            lambda f: (f / "trainer_state.json").unlink(),
            "neither run.json nor trainer_state.json tells how it was trained; the recipe's "
            "experts read 256 tokens at a learning rate of 0.003",
        ),
    ],
)
def test_other_training_is_told_with_both_values(
    change: Callable[[Path], None], text: str, pico: Path
) -> None:
    for name in DOMAINS:
        change(bring_full(pico, name))
    told = warnings_of(pico)
    assert len(told) == 1
    assert text in told[0]
    assert ADVICE in told[0]
    assert "`domains.alpha.expert`, `domains.beta.expert`, `domains.gamma.expert`: " in told[0]


@pytest.mark.parametrize(
    ("training", "text"),
    [
        ("", "it is an adapter, but `training.method` is full"),
        (
            "method: lora, lora: {rank: 8, alpha: 3}, ",
            "its rank is 2, but `training.lora.rank` is 8",
        ),
        (
            "method: lora, lora: {rank: 2, alpha: 16}, ",
            "its alpha is 3, but `training.lora.alpha` is 16",
        ),
        (
            "method: lora, lora: {rank: 2, alpha: 3, target_modules: [q_proj, v_proj]}, ",
            "it adapts `down_proj`, `gate_proj`, `k_proj`, `o_proj`, `q_proj`, `up_proj`, "
            "`v_proj`, but `training.lora.target_modules` means `q_proj`, `v_proj`",
        ),
    ],
)
def test_other_adapters_are_told_with_both_values(training: str, text: str, pico: Path) -> None:
    for name in DOMAINS:
        bring_adapter(pico, name)
    told = [line for line in warnings_of(pico, training) if "tokenizer" not in line]
    assert len(told) == 1
    assert text in told[0]
    assert ADVICE in told[0]


def test_adapter_scaled_by_the_root_of_its_rank_is_told(pico: Path) -> None:
    bring_adapter(pico, "alpha", use_rslora=True)
    bring_adapter(pico, "beta")
    bring_adapter(pico, "gamma")
    told = warnings_of(pico, "method: lora, lora: {rank: 2, alpha: 3}, ")
    assert "`domains.alpha.expert`: it divides by the root of its rank" in told[1]


@pytest.mark.parametrize(("named", "is_told"), [("else/where", True), ("some/base", False)])
def test_adapter_of_another_base_is_told(named: str, is_told: bool, pico: Path) -> None:
    for name in DOMAINS:
        bring_adapter(pico, name, base_model_name_or_path=named)
    told = warnings_of(pico, "method: lora, lora: {rank: 2, alpha: 3}, ")
    text = "it was trained on `else/where`, but `base` is `base`: make sure that they are the same"
    assert any(text in line for line in told) == is_told


def test_expert_most_of_which_did_not_move_is_told(pico: Path) -> None:
    bring_full(pico, "alpha", only="layers.1.self_attn")
    bring_full(pico, "beta")
    bring_full(pico, "gamma")
    told = warnings_of(pico)
    assert "`domains.alpha.expert`: 11 of its 15 matrices are those of the base, the" in told[0]
    assert "first `lm_head.weight`" in told[0] or "first `model.embed_tokens.weight`" in told[0]


def test_experts_of_very_different_length_are_told(pico: Path) -> None:
    for name, size in (("alpha", 0.01), ("beta", 0.05), ("gamma", 0.011)):
        bring_full(pico, name, size)
    (told,) = warnings_of(pico)
    assert "`domains.beta.expert` moved 5.0 times as far from the base as `domains.alpha" in told


def test_harmless_differences_are_told(pico: Path) -> None:
    for name in DOMAINS:
        bring_full(pico, name)
    edit_json(pico / "beta" / "config.json", use_cache=False, attention_dropout=0.0)
    (told,) = warnings_of(pico)
    assert told == (
        "`domains.beta.expert`: it differs from the base in what decides no score: "
        "`attention_dropout` of config.json; `use_cache` of config.json"
    )


def test_other_configuration_and_an_expert_that_is_the_base_are_refused(pico: Path) -> None:
    for name in DOMAINS:
        bring_full(pico, name)
    before = (pico / "beta" / "config.json").read_text()
    edit_json(pico / "beta" / "config.json", rms_norm_eps=0.01)
    with pytest.raises(CheckpointError, match=r"beta: `rms_norm_eps` of config.json"):
        warnings_of(pico)
    (pico / "beta" / "config.json").write_text(before)
    shutil.copyfile(pico / "base" / "model.safetensors", pico / "gamma" / "model.safetensors")
    with pytest.raises(CheckpointError, match="gamma: the expert equals the base in all"):
        warnings_of(pico)


def test_facts_come_from_the_record_of_a_run(tmp_path: Path) -> None:
    from mixwise.training.job import RunRecord, save_record

    rest: dict[str, Any] = {"shares": {}, "seed": 0, "n_steps": 3, "repetitions": {}}
    rest |= {"losses": {}, "seconds": 1.0, "versions": {}, "n_tokens": 77}
    save_record(RunRecord(fingerprint="x", learning_rate=2e-4, **rest), tmp_path)
    assert read_training_facts(tmp_path) == TrainingFacts(2e-4, 77)
    (tmp_path / "run.json").write_text('{"loss": 3}')  # another tool's
    assert read_training_facts(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ("{", None),
        ("[]", None),
        ("{}", None),
        ('{"log_history": 3, "num_input_tokens_seen": 0}', None),
        ('{"log_history": [3, {"learning_rate": "x"}], "num_input_tokens_seen": true}', None),
        ('{"log_history": [{"learning_rate": 0.5}]}', TrainingFacts(0.5, None)),
        ('{"num_input_tokens_seen": 12.0}', TrainingFacts(None, 12)),
    ],
)
def test_facts_come_from_trainers_state(
    content: str, facts: TrainingFacts | None, tmp_path: Path
) -> None:
    (tmp_path / "trainer_state.json").write_text(content)
    assert read_training_facts(tmp_path) == facts
