from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mixwise.errors import RecipeError
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE
from mixwise.recipe import load_recipe
from mixwise.stages.check import require_inputs
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.requirements import require_rule_needs

DOMAINS = ("alpha", "beta", "gamma")


def inputs_of(pico: Path, *, rule: str, training: str = "", bring: tuple[str, ...] = ()) -> Inputs:
    """The pico recipe with another rule, more training keys, and experts that are brought."""
    text = (pico / "recipe.yaml").read_text()
    text = text.replace("training: {", f"merge: {{rule: {rule}}}\ntraining: {{{training}")
    for name in bring:
        text = text.replace(
            f"{name}: {{files: {name}.jsonl}}", f"{name}: {{files: {name}.jsonl, expert: {name}}}"
        )
        bring_moved(pico, name)
    (pico / "recipe.yaml").write_text(text)
    return Inputs(load_recipe(pico / "recipe.yaml"), Settings(pico, pico / "tokens"))


def bring_moved(pico: Path, name: str) -> None:
    """An expert that is not the base."""
    from safetensors.torch import load_file, save_file

    path = Path(shutil.copytree(pico / "base", pico / name)) / "model.safetensors"
    moved = {key: tensor + 0.01 for key, tensor in load_file(path).items()}
    save_file(moved, path, metadata={"format": "pt"})


def save_adapter(pico: Path, name: str) -> None:
    """A LoRA adapter of the pico base in the place of a brought expert."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    shutil.rmtree(pico / name)
    module = AutoModelForCausalLM.from_pretrained(pico / "base")
    config = LoraConfig(
        r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False
    )
    get_peft_model(module, config).save_pretrained(pico / name)


@pytest.mark.parametrize("rule", ["auto", "linear", "centre", "pairs+centre", "ties", "slerp"])
def test_most_rules_need_nothing_of_the_experts(rule: str, pico: Path) -> None:
    require_rule_needs(inputs_of(pico, rule=rule, training="optimizer: sgd, ", bring=DOMAINS))


@pytest.mark.parametrize("rule", ["optimiser-aware", "optimiser-aware+centre", "fisher"])
def test_second_moments_come_from_adamw_on_the_whole_model(rule: str, pico: Path) -> None:
    require_rule_needs(inputs_of(pico, rule=rule))


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ("optimizer: sgd, ", r"`training.optimizer`: merge rule `fisher`.*but got sgd: set it"),
        ("method: lora, ", r"`training.method`: merge rule `fisher`.*but got lora.*set it to full"),
    ],
)
def test_second_moments_that_training_will_not_leave(
    training: str, expected: str, pico: Path
) -> None:
    with pytest.raises(RecipeError, match=expected):
        require_rule_needs(inputs_of(pico, rule="fisher", training=training))


def test_every_problem_has_a_line(pico: Path) -> None:
    training = "optimizer: sgd, method: lora, "
    inputs = inputs_of(pico, rule="fisher", training=training, bring=("alpha", "gamma"))
    with pytest.raises(RecipeError, match="second moments") as caught:
        require_rule_needs(inputs)
    keys = [line.split(":")[0] for line in str(caught.value).splitlines()]
    experts = ["`domains.alpha.expert`", "`domains.gamma.expert`"]
    assert keys == ["`training.optimizer`", "`training.method`", *experts]


def test_brought_experts_must_bring_their_second_moments(pico: Path) -> None:
    """Where all are brought, what training would leave does not matter."""
    inputs = inputs_of(pico, rule="fisher", training="optimizer: sgd, ", bring=DOMAINS)
    for name in DOMAINS[:2]:
        (pico / name / SECOND_MOMENTS_FILE).touch()
    expected = rf"^`domains.gamma.expert`.*{SECOND_MOMENTS_FILE} is missing: bring.*$"
    with pytest.raises(RecipeError, match=expected):
        require_rule_needs(inputs)
    (pico / "gamma" / SECOND_MOMENTS_FILE).touch()
    require_rule_needs(inputs)


def test_adapters_bring_no_second_moments_of_the_model(pico: Path) -> None:
    inputs = inputs_of(pico, rule="fisher", bring=DOMAINS)
    for name in DOMAINS:
        save_adapter(pico, name)
        (pico / name / SECOND_MOMENTS_FILE).touch()
    with pytest.raises(RecipeError, match="is an adapter: bring full models"):
        require_rule_needs(inputs)


@pytest.mark.parametrize("rule", ["trajectory", "blend"])
def test_trajectories_come_from_checkpoints_of_this_study(rule: str, pico: Path) -> None:
    with pytest.raises(RecipeError, match=rf"merge rule `{rule}`.*but got 0: set it to 1 or more"):
        require_rule_needs(inputs_of(pico, rule=rule))


def test_trajectories_of_trained_experts_are_enough(pico: Path) -> None:
    require_rule_needs(inputs_of(pico, rule="blend", training="trajectory_checkpoints: 1, "))


def test_brought_experts_have_no_trajectories(pico: Path) -> None:
    training = "trajectory_checkpoints: 1, "
    inputs = inputs_of(pico, rule="trajectory", training=training, bring=("beta",))
    with pytest.raises(RecipeError, match=r"`domains.beta.expert`.*leave the key out"):
        require_rule_needs(inputs)


def test_brought_experts_must_be_like_the_runs_that_a_rule_trains(pico: Path) -> None:
    inputs = inputs_of(pico, rule="centre", training="method: lora, ", bring=DOMAINS)
    with pytest.raises(RecipeError, match=r"is a full model.*set it to full"):
        require_inputs(inputs)


def test_brought_experts_may_be_coarser_than_the_runs_that_a_rule_trains(pico: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    inputs = inputs_of(pico, rule="centre", bring=DOMAINS)
    for name in ("base", *DOMAINS):
        path = pico / name / "model.safetensors"
        rounded = {key: tensor.to(torch.bfloat16) for key, tensor in load_file(path).items()}
        save_file(rounded, path, metadata={"format": "pt"})
    require_inputs(inputs)
