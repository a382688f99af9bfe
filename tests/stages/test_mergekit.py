from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from tests.tiny_models import save_base, save_full_expert
from transformers import AutoModelForCausalLM

from mixwise.errors import CheckpointError, RecipeError
from mixwise.models.loading import load_module
from mixwise.stages.merged_folder import MERGEKIT_FILE
from mixwise.stages.mergekit import merge_config, merge_weights, read_mergekit

Cli = Callable[..., tuple[int, str, str]]
State = dict[str, torch.Tensor]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder with a base and two experts."""
    base = save_base("llama untied", tmp_path / "base")
    for seed, name in enumerate(("a", "b"), 1):
        save_full_expert(base, tmp_path / name, seed)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configured(folder: Path, **config: Any) -> Path:
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def weighted(**weights: float) -> list[dict[str, Any]]:
    return [{"model": n, "parameters": {"weight": weight}} for n, weight in weights.items()]


def state_of(folder: Path | str) -> State:
    return dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())


def merged(path: Path) -> State:
    merge_config(path, path.parent / "out", path.parent / "cache")
    return state_of(path.parent / "out")


def require_equal(found: State, truth: State) -> None:
    assert found.keys() == truth.keys()
    for name, values in truth.items():
        torch.testing.assert_close(found[name], values, rtol=0, atol=1e-6)


def test_linear_weights_are_divided_by_their_sum_and_need_no_base(models: Path) -> None:
    found = merged(configured(models, merge_method="linear", models=weighted(a=1.5, b=0.5)))
    a, b = state_of("a"), state_of("b")
    require_equal(found, {name: 0.75 * a[name] + 0.25 * b[name] for name in a})


def test_task_arithmetic_adds_to_the_base_what_lambda_lets_in(models: Path) -> None:
    path = configured(
        models,
        merge_method="task_arithmetic",
        base_model="base",
        models=weighted(a=0.9, b=0.4),
        parameters={"lambda": 0.5},
    )
    base, a, b = state_of("base"), state_of("a"), state_of("b")
    truth = {
        name: base[name] + 0.45 * (a[name] - base[name]) + 0.2 * (b[name] - base[name])
        for name in base
    }
    require_equal(merged(path), truth)


def test_an_adapter_stands_behind_its_base(models: Path) -> None:
    module = get_peft_model(load_module(models / "base"), LoraConfig(r=2, use_dora=True))
    torch.manual_seed(0)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    module.save_pretrained(models / "dora")
    found = merged(
        configured(
            models,
            merge_method="linear",
            models=[{"model": "base+dora", "parameters": {"weight": 0.5}}, *weighted(a=0.5)],
            base_model="base",
        )
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dora, a = module.merge_and_unload().state_dict(), state_of("a")
    require_equal(found, {name: (dora[name] + a[name]) / 2 for name in a})


def test_out_dtype_is_what_is_saved_and_rounded_once(models: Path) -> None:
    path = configured(
        models, merge_method="linear", models=weighted(a=0.3, b=0.7), out_dtype="bfloat16"
    )
    merge_config(path, models / "out", models / "cache")
    found = load_file(models / "out" / "model.safetensors")
    a, b = state_of("a"), state_of("b")
    for name, values in found.items():
        assert values.dtype == torch.bfloat16
        truth = 0.3 * a[name].double() + 0.7 * b[name].double()
        one_step = truth.abs() * 2**-8 + 1e-7
        assert bool(((values.double() - truth).abs() <= one_step).all())


def test_what_mixwise_writes_for_mergekit_it_reads_back(models: Path, mixwise: Cli) -> None:
    path = configured(models, merge_method="linear", models=weighted(a=0.3, b=0.7))
    code, out, err = mixwise("merge", path, "--to", models / "out", "--json")
    assert code == 0, err
    assert json.loads(out)["shares"] == {"a": 0.3, "b": 0.7}
    again = models / "out" / MERGEKIT_FILE
    merge_config(again, models / "again", models / "cache")
    require_equal(state_of("again"), state_of("out"))
    code, _, err = mixwise("merge", path, "--to", models / "new", "--mixture", "a=1")
    assert code == 2
    assert "says what is merged" in err


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"merge_method": "ties", "models": weighted(a=1)}, r"merge_method.*'linear'"),
        ({"merge_method": "linear", "models": weighted(a=1), "slices": []}, r"slices"),
        (
            {
                "merge_method": "linear",
                "models": [{"model": "a", "parameters": {"weight": [0, 1]}}],
            },
            r"weight.*number",
        ),
        ({"merge_method": "linear", "models": [{"model": "a"}]}, r"weight` is missing: give one"),
        ({"merge_method": "linear", "models": weighted(a=1)}, r"another model than the base"),
        ({"merge_method": "linear", "models": weighted(a=1, b=-1)}, r"add up to 0, and cannot"),
        (
            {
                "merge_method": "linear",
                "models": weighted(a=1, b=1),
                "parameters": {"normalize": False},
            },
            r"must add up to 1, but add up to 2",
        ),
        ({"merge_method": "task_arithmetic", "models": weighted(a=1)}, r"needs a `base_model`"),
    ],
    ids=str,
)
def test_what_cannot_be_merged_so_is_refused_by_name(
    config: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = configured(tmp_path, **config)
    with pytest.raises(RecipeError, match=reason):
        merge_weights(read_mergekit(path), str(path))


def test_models_that_do_not_fit_are_refused(models: Path) -> None:
    other = configured(
        models, merge_method="linear", base_model="base", models=weighted(**{"a+b": 1.0})
    )
    with pytest.raises(RecipeError, match="on another model than the base `base`"):
        merged(other)
    alone = configured(
        models, merge_method="linear", base_model="base", models=weighted(**{"base+b": 1.0})
    )
    with pytest.raises(RecipeError, match="must be an adapter behind the `\\+`, but is not"):
        merged(alone)
    equal = configured(models, merge_method="linear", base_model="base", models=weighted(copy=1.0))
    save_full_expert_like(models)
    with pytest.raises(CheckpointError, match="the expert equals the base in all"):
        merged(equal)
    assert not (models / "out").exists()


def save_full_expert_like(models: Path) -> None:
    """A model that is the base, in another folder."""
    load_module(models / "base").save_pretrained(models / "copy")
