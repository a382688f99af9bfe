from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mixwise.errors import DataError, EvaluationError, RecipeError
from mixwise.evaluation.generation import GenerationSet
from mixwise.recipe import load_recipe
from mixwise.study.inputs import Inputs, Settings
from mixwise.testing import check_evaluation_set

PROMPTS = ("one two", "one two three four five", "un deux", "c", "trois un deux un", "a b")


def open_set(pico: Path, keys: str = "measures: [exact_match, f1]") -> GenerationSet:
    rows = [{"question": prompt, "answer": ["three", 3]} for prompt in PROMPTS]
    (pico / "say.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (pico / "recipe.yaml").read_text()
    old = "    quiz: {files: quiz.jsonl, kind: choice}\n"
    assert old in text
    fields = "fields: {prompt: question}"
    new = f"    say: {{files: say.jsonl, kind: generation, {fields}, max_new_tokens: 8, {keys}}}\n"
    (pico / "other.yaml").write_text(text.replace(old, old + new))
    inputs = Inputs(load_recipe(pico / "other.yaml"), Settings(pico, pico / "tokens"))
    found = inputs.build_set("say")
    assert isinstance(found, GenerationSet)
    return found


@pytest.fixture
def model(pico: Path) -> Any:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(pico / "base")
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.mul_(3)
    return model.eval()


def test_batches_write_what_each_prompt_alone_gets(pico: Path, model: Any) -> None:
    chosen = open_set(pico)
    alone = []
    for ids in chosen.prompts:
        found = model.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=8,
            do_sample=False,
            pad_token_id=0,
        )[0, len(ids) :]
        alone.append(chosen.tokenizer.tokenizer.decode(found, skip_special_tokens=True))
    assert chosen.write(model, range(len(PROMPTS))) == alone
    assert len(set(alone)) > 1


@pytest.mark.parametrize("keys", ["measures: [exact_match, f1]", "temperature: 1, top_p: 0.9"])
def test_the_set_keeps_the_contract(pico: Path, model: Any, keys: str) -> None:
    chosen = open_set(pico, keys)
    check_evaluation_set(chosen, model)
    assert chosen.n_tokens == sum(map(len, chosen.prompts)) + 8 * len(PROMPTS)


def test_samples_hang_on_the_seed_and_on_no_neighbour(pico: Path, model: Any) -> None:
    first, other = (open_set(pico, f"temperature: 1, seed: {seed}") for seed in (1, 2))
    every = first.write(model, range(len(PROMPTS)))
    assert first.write(model, [4, 1]) == [every[4], every[1]]
    assert other.write(model, range(len(PROMPTS))) != every
    assert first.fingerprint != other.fingerprint


def test_an_answer_ends_before_a_stop_text(pico: Path, model: Any) -> None:
    [text] = open_set(pico).write(model, [1])
    assert text is not None
    stop = text[2]
    [cut] = open_set(pico, f"stop: [{json.dumps(stop)}]").write(model, [1])
    assert cut == text[: text.index(stop)]


def test_logits_that_are_no_numbers_are_an_error(pico: Path, model: Any) -> None:
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(EvaluationError, match=r"`say/exact_match` must be finite .* 6 of 6"):
        open_set(pico).evaluate(model)


@pytest.mark.parametrize(
    ("keys", "error", "rule"),
    [
        ("measures: [bleu]", RecipeError, "measures"),
        ("measures: [pattern_found]", RecipeError, "needs a `pattern`"),
        ("pattern: '('", RecipeError, "is no regular expression"),
        ("seed: 3", RecipeError, "no effect on greedy decoding"),
        ("stop: ['']", RecipeError, "an empty text stops every answer"),
        ("measures: [f1, f1]", RecipeError, "stands twice"),
    ],
)
def test_bad_keys_are_named(pico: Path, keys: str, error: type, rule: str) -> None:
    with pytest.raises(error, match=rule):
        open_set(pico, keys)


def test_a_prompt_without_room_is_refused(pico: Path) -> None:
    recipe = open_set(pico)
    assert recipe.n_examples == len(PROMPTS)
    text = (pico / "other.yaml").read_text().replace("max_new_tokens: 8", "max_new_tokens: 64")
    (pico / "other.yaml").write_text(text)
    inputs = Inputs(load_recipe(pico / "other.yaml"), Settings(pico, pico / "tokens"))
    with pytest.raises(DataError, match=r"say\.jsonl:\d: .*leaves no room for 64 more"):
        inputs.build_set("say")
