from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.evaluation.likelihood.models import tiny_model
from tests.study.test_plan import plan as made_plan
from tests.study.test_plan import recipe

from mixwise.evaluation.suite import explain_unshared
from mixwise.recipe import load_recipe
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.plan import DomainPlan
from mixwise.study.warnings import _data_warnings, _searched_tests

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


@pytest.mark.parametrize(
    ("own", "final", "is_told"),
    [(12.0, 4.0, True), (4.0, 12.0, True), (2.0, 0.5, False), (12.0, 8.0, False)],
)
def test_a_domain_that_its_expert_repeats_otherwise_than_the_final_run_is_named(
    own: float, final: float, is_told: bool, pico: Path
) -> None:
    inputs = Inputs(load_recipe(pico / "recipe.yaml"), Settings(pico, pico / "tokens"))
    domains = tuple(
        DomainPlan(name, 10, 100, 10, readings, 1.0, 3 * even, even)
        for name, readings, even in (("alpha", own, final), ("beta", 1.0, 1.0))
    )
    plan = replace(made_plan(recipe()), domains=(*domains, replace(domains[1], name="gamma")))
    found = [line for line in _data_warnings(inputs, plan) if "its expert reads its text" in line]
    assert len(found) == is_told
    if is_told:
        assert f"reads its text {own:.1f} times, the final run {final:.1f} times" in found[0]
        assert found[0].startswith("`domains.alpha`")


@pytest.mark.parametrize(
    ("experts", "training", "told"),
    [
        ("constant", "constant", ()),
        ("cosine", "cosine", ("`experts.schedule` is cosine",)),
        ("constant", "linear", ("`training.schedule` is linear",)),
    ],
)
def test_schedules_on_which_continuing_rests_less_are_named(
    experts: str, training: str, told: tuple[str, ...], pico: Path
) -> None:
    path = pico / "recipe.yaml"
    text = path.read_text().replace("training: {", f"training: {{schedule: {training}, ")
    path.write_text(f"{text}experts: {{schedule: {experts}}}\n")
    inputs = Inputs(load_recipe(path), Settings(pico, pico / "tokens"))
    domains = tuple(
        DomainPlan(name, 10, 100, 10, 1.0, 1.0, 3.0, 1.0) for name in ("alpha", "beta", "gamma")
    )
    plan = replace(made_plan(recipe()), domains=domains, expert_points=(4, 8))
    found = [line for line in _data_warnings(inputs, plan) if "schedule` is" in line]
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))


@pytest.mark.parametrize(
    ("others", "objective", "is_said"),
    [
        ({}, "metrics", True),
        ({"kept": {"documents": "report"}}, "metrics", False),
        ({}, "floors", False),
    ],
)
def test_a_task_that_is_searched_on_and_not_kept_is_named(
    pico: Path, others: dict[str, dict[str, str]], objective: str, is_said: bool
) -> None:
    raw = yaml.safe_load((pico / "recipe.yaml").read_text())
    task = {"kind": "lm-eval", "task": "some_task", "measures": ["acc"]}
    raw["evaluation"]["sets"] |= {"asked": task} | {k: task | more for k, more in others.items()}
    raw["objective"].setdefault(objective, []).append({"set": "asked", "measure": "acc"})
    (pico / "recipe.yaml").write_text(yaml.safe_dump(raw))
    found = _searched_tests(Inputs(load_recipe(pico / "recipe.yaml"), Settings(pico, pico)))
    assert bool(found) == is_said
    assert all(
        "`evaluation.sets.asked`: the search maximises on test documents" in s for s in found
    )


def test_a_limit_is_named_but_not_a_share_that_the_recipe_fixes(pico: Path) -> None:
    path = pico / "recipe.yaml"
    bounds = "search: {bounds: {alpha: {share: 0.25}, beta: {max_share: 0.5}}}\n"
    path.write_text(path.read_text() + bounds)
    inputs = Inputs(load_recipe(path), Settings(pico, pico / "tokens"))
    most = {"alpha": 0.25, "beta": 0.5, "gamma": 1.0}
    domains = tuple(
        DomainPlan(name, 10, 100, 10, 1.0, share, 3.0, 1.0) for name, share in most.items()
    )
    plan = replace(made_plan(recipe()), domains=domains)
    found = [line for line in _data_warnings(inputs, plan) if "is limited" in line]
    assert found == ["`domains.beta`: its share is limited to 0.50"]
