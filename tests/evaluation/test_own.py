"""Programs and functions of the user's: what they are given, and what they may give back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mixwise.errors import EvaluationError, MixwiseError, RecipeError
from mixwise.evaluation.own import OwnSet
from mixwise.recipe import load_recipe
from mixwise.stages.check import run_check
from mixwise.study.inputs import Inputs, Settings

SCRIPT = """\
import json, sys
from safetensors.torch import load_file
tensors = load_file(sys.argv[1] + "/model.safetensors")
print("some words before")
norm = float(sum((tensor.double() ** 2).sum() for tensor in tensors.values()))
print(json.dumps({"norm": norm, "several": [1, 2, 3]}))
"""
MODULE = """\
def norm(model, tokenizer):
    assert tokenizer.eos_token
    return {"norm": sum(float((p.detach().double() ** 2).sum()) for p in model.parameters())}

def nothing(model, tokenizer):
    return {}

def broken(model, tokenizer):
    return {"norm": float("nan")}

def raises(model, tokenizer):
    raise KeyError("no such thing")

value = 3
"""


def set_of(pico: Path, keys: str, *, trusted: bool = True) -> OwnSet:
    text = (pico / "recipe.yaml").read_text()
    old = "    quiz: {files: quiz.jsonl, kind: choice}\n"
    assert old in text
    (pico / "other.yaml").write_text(text.replace(old, f"{old}    mine: {{{keys}}}\n"))
    (pico / "score.py").write_text(SCRIPT)
    (pico / f"own_{pico.parent.name}.py").write_text(MODULE)
    settings = Settings(pico, pico / "tokens", trust_remote_code=trusted)
    found = Inputs(load_recipe(pico / "other.yaml"), settings).suite.sets[-1]
    assert isinstance(found, OwnSet)
    return found


def command(*words: str, measures: str = "{norm: min}") -> str:
    named = json.dumps([sys.executable, *words])
    return f"kind: command, command: {named}, measures: {measures}"


def function(pico: Path, name: str) -> str:
    return f"kind: function, function: 'own_{pico.parent.name}:{name}', measures: {{norm: min}}"


@pytest.fixture
def model(pico: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(pico / "base").eval()


def norm_of(model: Any) -> float:
    return sum(float((p.detach().double() ** 2).sum()) for p in model.parameters())


def test_a_command_is_given_the_merged_checkpoint(pico: Path, model: Any) -> None:
    own = set_of(pico, command("score.py", "{model}", measures="{norm: min, several: max}"))
    norm, several = own.evaluate(model)
    assert (norm.metric, norm.value) == ("mine/norm", pytest.approx(norm_of(model)))
    assert several.value == 2.0
    assert [metric.direction for metric in own.metrics] == ["min", "max"]


def test_a_function_is_given_model_and_tokenizer(pico: Path, model: Any) -> None:
    [norm] = set_of(pico, function(pico, "norm")).evaluate(model)
    assert norm.value == pytest.approx(norm_of(model))


def test_another_script_is_another_fingerprint(pico: Path) -> None:
    before = set_of(pico, command("score.py", "{model}"))
    fingerprint = before.fingerprint
    (pico / "score.py").write_text(SCRIPT + "\n")
    assert before.fingerprint != fingerprint


@pytest.mark.parametrize("keys", [command("score.py", "{model}"), "function"])
def test_code_of_a_recipe_runs_only_where_the_command_line_allows_it(pico: Path, keys: str) -> None:
    chosen = function(pico, "norm") if keys == "function" else keys
    with pytest.raises(RecipeError, match=r"allow it by `--trust-remote-code`"):
        set_of(pico, chosen, trusted=False)


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        (command("score.py"), r"must hold `\{model\}`, which becomes the folder"),
        (command("score.py", "{model}", measures="{}"), "measures`.*at least 1"),
        ("kind: function, function: own, measures: {norm: min}", "must be `module:function`"),
        ("kind: function, function: 'nowhere:norm', measures: {norm: min}", "cannot be imported"),
        ("FUNCTION value", "is no function"),
        ("FUNCTION missing", "cannot be imported"),
    ],
)
def test_what_cannot_be_is_refused_early(pico: Path, keys: str, rule: str) -> None:
    if keys.startswith("FUNCTION"):
        keys = function(pico, keys.split()[1])
    with pytest.raises(MixwiseError, match=rule):
        set_of(pico, keys)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("-c", "import sys; sys.exit('no {model} here')"), r"ended with 1 \(no .* here\)"),
        (("-c", "print('no json, {model}')"), "must end by printing one JSON object"),
        (("-c", "print('{\"other\": 1}', '{model}'[:0])"), "must give `norm`, but gave other"),
        (("-c", "print('{\"norm\": NaN}', '{model}'[:0])"), "must be a finite number"),
        (("-c", "print('{\"norm\": \"1\"}', '{model}'[:0])"), "must be a finite number"),
    ],
)
def test_what_a_command_may_not_do(
    pico: Path, model: Any, words: tuple[str, ...], rule: str
) -> None:
    own = set_of(pico, command(*words))
    with pytest.raises(EvaluationError, match=rule):
        own.evaluate(model)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("nothing", "must give `norm`, but gave nothing"),
        ("broken", "must be a finite number"),
        ("raises", r"failed \(KeyError: 'no such thing'\)"),
    ],
)
def test_what_a_function_may_not_do(pico: Path, model: Any, name: str, rule: str) -> None:
    own = set_of(pico, function(pico, name))
    with pytest.raises(EvaluationError, match=rule):
        own.evaluate(model)


@pytest.mark.parametrize("name", ["broken", "nothing", "raises"])
def test_check_finds_a_function_that_cannot_measure(pico: Path, name: str) -> None:
    set_of(pico, function(pico, name))
    settings = Settings(pico, pico / "tokens", trust_remote_code=True)
    inputs = Inputs(load_recipe(pico / "other.yaml"), settings)
    with pytest.raises(EvaluationError, match="`mine"):
        run_check(inputs, pico / "study")


def test_a_command_that_does_not_end_is_stopped(pico: Path, model: Any) -> None:
    sleeping = command("-c", "import time; time.sleep(60); '{model}'")
    own = set_of(pico, f"{sleeping}, timeout_seconds: 1")
    with pytest.raises(EvaluationError, match="did not end within 1 s"):
        own.evaluate(model)
