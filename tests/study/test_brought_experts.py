from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.tiny_models import save_adapter
from transformers import MixtralConfig, MixtralForCausalLM

from mixwise.errors import CheckpointError
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.loading import load_module
from mixwise.recipe import load_recipe
from mixwise.study.inputs import Inputs, Settings

DOMAINS = ("alpha", "beta", "gamma")


def inputs_with(pico: Path, **experts: str) -> Inputs:
    text = (pico / "recipe.yaml").read_text()
    for name, expert in experts.items():
        old = f"{name}: {{files: {name}.jsonl}}"
        text = text.replace(old, f"{old[:-1]}, expert: {expert}}}")
    (pico / "other.yaml").write_text(text)
    return Inputs(load_recipe(pico / "other.yaml"), Settings(pico, pico / "cache"))


def brought(pico: Path, **experts: str) -> dict[str, Checkpoint | None]:
    """What the inputs open for each domain."""
    inputs = inputs_with(pico, **experts)
    return {name: inputs.expert_checkpoint(name) for name in DOMAINS}


def save(pico: Path, name: str, seed: int) -> str:
    save_adapter(open_checkpoint(pico / "base"), pico / name, seed)
    return name


def test_adapters_stay_adapters_where_all_experts_are(pico: Path) -> None:
    experts = {name: save(pico, f"of-{name}", k) for k, name in enumerate(DOMAINS)}
    found = brought(pico, **experts)
    assert [c is not None and c.is_adapter for c in found.values()] == [True] * 3
    assert not (pico / "cache" / "checkpoints").exists()


def test_beside_a_full_model_an_adapter_becomes_one(pico: Path) -> None:
    shutil.copytree(pico / "base", pico / "full")
    found = brought(pico, alpha="full", beta=save(pico, "b", 1), gamma=save(pico, "c", 2))
    assert [c is not None and c.is_adapter for c in found.values()] == [False] * 3


def test_beside_runs_that_train_in_full_an_adapter_becomes_a_full_model(pico: Path) -> None:
    found = brought(pico, alpha=save(pico, "a", 1))
    assert found["alpha"] is not None
    assert not found["alpha"].is_adapter
    assert found["beta"] is None


def test_an_expert_that_is_nowhere_is_named_by_its_key(
    pico: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[tuple[str, str | None]] = []

    def nothing(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision))
        raise OSError("no such model")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", nothing)
    with pytest.raises(CheckpointError, match=r"`domains.alpha.expert`: `me/mine` is neither a"):
        brought(pico, alpha="me/mine@v2")
    assert asked == [("me/mine", "v2")]
    with pytest.raises(CheckpointError, match=r"`domains.alpha.expert`: .*/x/y/z is no folder"):
        brought(pico, alpha="x/y/z")


def test_an_expert_of_the_hub_is_downloaded(pico: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    there = save(pico, "downloaded", 1)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(pico / there))
    found = brought(pico, alpha="me/mine")
    assert found["alpha"] is not None


@pytest.mark.parametrize(
    ("tokens", "steps"),
    [((128, 128, 128), 2), ((192, 64, 9999), 1), ((9999, 999, 999), 4), ((128, None, 128), 4)],
)
def test_experts_that_are_all_brought_are_as_long_as_the_shortest_says(
    tokens: tuple[int | None, ...], steps: int, pico: Path
) -> None:
    experts = {name: save(pico, f"of-{name}", k) for k, name in enumerate(DOMAINS)}
    for name, n in zip(DOMAINS, tokens, strict=True):
        state = json.dumps({"num_input_tokens_seen": n or 0})
        (pico / f"of-{name}" / "trainer_state.json").write_text(state)
    horizons = inputs_with(pico, **experts).horizons  # of a final run of 4 steps of 64 tokens
    assert (horizons.expert_steps, horizons.n_experts, horizons.final_steps) == (steps, 0, 4)


def test_check_says_what_is_merged_in_another_form(
    pico: Path, tmp_path: Path, mixwise: Callable[..., tuple[int, str, str]]
) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 2}
    ends = {"vocab_size": 320, "max_position_embeddings": 64, "eos_token_id": 0, "bos_token_id": 0}
    MixtralForCausalLM(MixtralConfig(**sizes, **heads, **ends)).save_pretrained(pico / "base")
    model = get_peft_model(
        load_module(pico / "base"), LoraConfig(r=2, target_modules=["q_proj"], use_dora=True)
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(pico / "dora")
    recipe = pico / "recipe.yaml"
    text = recipe.read_text() + "final: {start: merged}\n"
    recipe.write_text(text.replace("alpha.jsonl}", "alpha.jsonl, expert: dora}"))
    code, out, err = mixwise("check", recipe, "--study", tmp_path / "s", "--json")
    assert code == 0, err
    notes = " ".join(json.loads(out)["notes"])
    assert "`base`: transformers joins or splits tensors of it on load" in notes
    assert "`domains.alpha.expert`: the adapter is merged as the full model" in notes
    assert "`final.start: merged`: the final run goes on from the merge" in notes
    told = " ".join(json.loads(out)["warnings"])
    assert "matrices are those of the base" not in told  # an adapter says itself what it changes
