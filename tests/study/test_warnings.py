from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.evaluation.likelihood.models import tiny_model

from mixwise.evaluation.suite import explain_unshared
from mixwise.recipe import load_recipe
from mixwise.study.inputs import Inputs, Settings

Mixwise = Callable[..., tuple[int, str, str]]


def share_a_long_prompt(pico: Path) -> Inputs:
    """The pico recipe; its questions get prompts that are worth reading once."""
    path = pico / "recipe.yaml"
    assert "quiz" in yaml.safe_load(path.read_text())["evaluation"]["sets"]
    lines = (pico / "quiz.jsonl").read_text().replace("one two", "one two " * 8)
    (pico / "quiz.jsonl").write_text(lines)
    return Inputs(load_recipe(path), Settings(pico, pico / "tokens"))


def test_nothing_is_said_of_a_model_that_shares_prompts(pico: Path) -> None:
    assert explain_unshared(share_a_long_prompt(pico).suite, tiny_model("llama")) is None


def test_check_says_that_prompts_are_not_shared(
    pico: Path, mixwise: Mixwise, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_a_long_prompt(pico)
    monkeypatch.setattr("mixwise.releases._CACHE_NAMES", ("unheard_of",))
    code, out, _ = mixwise("check", pico / "recipe.yaml")
    assert code == 0
    words = " ".join(out.split())
    assert "evaluation of `quiz`: prompts are read anew with every choice, because" in words
    assert "gives LlamaForCausalLM neither `unheard_of`" in words
