from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tests.tiny_models import save_adapter, save_full_expert
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)

from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.loading import load_module
from mixwise.study.folder import StudyFolder

Cli = Callable[..., tuple[int, str, str]]
DOMAINS = ("alpha", "beta", "gamma")
SHARES = {"alpha": 0.5, "beta": 0.3, "gamma": 0.2}
MIXTURE = "alpha=0.5,beta=0.3,gamma=0.2"
IDS = torch.arange(24).view(2, 12) + 3


def study_of(pico: Path, save: Callable[[Path, str, int], object]) -> Path:
    """A study whose experts are all brought, so that nothing is trained."""
    recipe = pico / "recipe.yaml"
    text = recipe.read_text()
    for seed, name in enumerate(DOMAINS, 1):
        save(pico, name, seed)
        old = f"{name}: {{files: {name}.jsonl}}"
        text = text.replace(old, f"{old[:-1]}, expert: {name}}}")
    recipe.write_text(text)
    study = StudyFolder.create(pico / "study", recipe)
    study.save_recipe(text)
    return study.folder


def full(pico: Path, name: str, seed: int) -> None:
    save_full_expert(open_checkpoint(pico / "base"), pico / name, seed)


def adapter(pico: Path, name: str, seed: int) -> None:
    targets = {1: "all-linear", 2: ["q_proj", "up_proj"], 3: ["v_proj"]}[seed]
    save_adapter(open_checkpoint(pico / "base"), pico / name, seed, targets=targets)


def averaged(pico: Path) -> dict[str, torch.Tensor]:
    """The plain script: every expert opened as its maker's tool does, and averaged in double."""
    states = {}
    for name in DOMAINS:
        if (pico / name / "adapter_config.json").is_file():
            module = load_module(pico / "base")
            module = PeftModel.from_pretrained(module, str(pico / name)).merge_and_unload()
        else:
            module = load_module(pico / name)
        states[name] = module.state_dict()
    return {
        key: sum(share * states[name][key].double() for name, share in SHARES.items())  # type: ignore[misc]
        for key in states["alpha"]
    }


def require_equal(state: dict[str, torch.Tensor], truth: dict[str, torch.Tensor]) -> None:
    assert state.keys() == truth.keys()
    for key, values in truth.items():
        torch.testing.assert_close(state[key].double(), values, rtol=0, atol=1e-6)


@torch.no_grad()
def logits_of(module: Any) -> torch.Tensor:
    logits: torch.Tensor = module.eval()(input_ids=IDS).logits
    return logits


def test_a_merged_model_is_the_average_and_has_all_that_belongs_to_it(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = study_of(pico, full)
    command = ("merge", study, "--mixture", MIXTURE, "--to", tmp_path / "out", "--json")
    code, out, err = mixwise(*command)
    assert code == 0, err
    said = json.loads(out)
    assert said["shares"] == SHARES
    assert (said["form"], said["rule"], said["precision"]) == ("model", "linear", "float32")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    require_equal(dict(merged.state_dict()), averaged(pico))
    ours, theirs = (AutoTokenizer.from_pretrained(f) for f in (tmp_path / "out", pico / "base"))
    assert ours("one two")["input_ids"] == theirs("one two")["input_ids"]
    assert (tmp_path / "out" / "generation_config.json").is_file()
    card = (tmp_path / "out" / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header["tags"] == ["merge", "mixwise"]
    for name, share in SHARES.items():
        fingerprint = open_checkpoint(pico / name).fingerprint
        assert f"| {name} | {share:g} | `{(pico / name).resolve()}` | `{fingerprint}` |" in card


def test_unequal_adapters_merge_to_the_average_of_the_dense_weights(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study, truth = study_of(pico, adapter), averaged(pico)
    options = ("merge", study, "--mixture", MIXTURE, "--to")
    assert mixwise(*options, tmp_path / "model")[0] == 0
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    require_equal(dict(model.state_dict()), truth)
    assert mixwise(*options, tmp_path / "adapter", "--adapter")[0] == 0
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"] == 2 + 4
    on_top = PeftModel.from_pretrained(load_module(pico / "base"), str(tmp_path / "adapter"))
    torch.testing.assert_close(logits_of(on_top), logits_of(model), rtol=0, atol=1e-5)
    require_equal(dict(on_top.merge_and_unload().state_dict()), truth)


def test_one_domain_is_its_expert_bit_for_bit_in_the_bases_precision(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    AutoModelForCausalLM.from_pretrained(pico / "base", dtype=torch.bfloat16).save_pretrained(
        pico / "base"
    )
    study = study_of(pico, full)
    out = tmp_path / "out"
    assert mixwise("merge", study, "--mixture", "beta=1", "--to", out)[0] == 0
    found, saved = (load_file(folder / "model.safetensors") for folder in (out, pico / "beta"))
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}
    assert all(torch.equal(found[name], saved[name].bfloat16()) for name in saved)


def test_a_mixture_of_experts_is_written_in_the_layout_of_its_base(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 2}
    places = {"vocab_size": 320, "max_position_embeddings": 64}
    MixtralForCausalLM(MixtralConfig(**sizes, **heads, **places)).save_pretrained(pico / "base")
    study = study_of(pico, full)
    code, _, err = mixwise("merge", study, "--mixture", MIXTURE, "--to", tmp_path / "out")
    assert code == 0, err
    found, base = (load_file(f / "model.safetensors") for f in (tmp_path / "out", pico / "base"))
    assert found.keys() == base.keys()
    assert any("experts.0.w1" in name for name in found)
    require_equal(
        dict(AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()), averaged(pico)
    )


def test_a_head_that_is_renamed_on_load_is_the_merged_one(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 320}
    config = GPTNeoXConfig(**sizes, num_attention_heads=2, max_position_embeddings=64)
    GPTNeoXForCausalLM(config).save_pretrained(pico / "base")
    study = study_of(pico, full)
    code, _, err = mixwise("merge", study, "--mixture", MIXTURE, "--to", tmp_path / "out")
    assert code == 0, err
    assert "embed_out.weight" in load_file(tmp_path / "out" / "model.safetensors")
    require_equal(
        dict(AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()), averaged(pico)
    )


def test_the_best_is_what_the_study_recommends(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    code, out, err = mixwise("merge", study, "--to", tmp_path / "out", "--json")
    assert code == 0, err
    recommended = json.loads((study / "recommendation.json").read_text())
    assert json.loads(out)["shares"] == recommended["mixture"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "is the one that the study recommends" in card
    assert "| mixed/loss |" in card


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--to", "new"), "no recommendation of these experts and this recipe"),
        (("--mixture", "delta=1", "--to", "new"), "delta"),
        (("--mixture", "alpha=1", "--to", "base"), "must be a new or empty folder"),
        (("--mixture", "alpha=1", "--to", "new", "--adapter"), "is a full model: leave out"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    options: tuple[str, ...],
    reason: str,
    pico: Path,
    mixwise: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = study_of(pico, full)
    monkeypatch.chdir(pico)
    before = sorted(path.name for path in pico.iterdir())
    code, _, err = mixwise("merge", study, *options)
    assert code == 1
    assert reason in err
    assert sorted(path.name for path in pico.iterdir()) == before


def test_a_rule_of_weights_gives_no_adapter(pico: Path, tmp_path: Path, mixwise: Cli) -> None:
    study = study_of(pico, adapter)
    options = ("--mixture", MIXTURE, "--to", tmp_path / "out", "--rule", "ties", "--adapter")
    code, _, err = mixwise("merge", study, *options)
    assert code == 1
    assert "merge rule `ties` combines weights and not adapters" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:.*belong to modules that no LlamaForCausalLM has")
def test_tensors_that_no_module_reads_are_carried_along(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    file, extra = pico / "base" / "model.safetensors", torch.arange(6.0).view(2, 3)
    save_file(load_file(file) | {"mtp.0.weight": extra}, file, metadata={"format": "pt"})
    study = study_of(pico, full)
    code, _, err = mixwise("merge", study, "--mixture", MIXTURE, "--to", tmp_path / "out")
    assert code == 0, err
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(found.pop("mtp.0.weight"), extra)
    assert found.keys() == load_file(pico / "alpha" / "model.safetensors").keys()
