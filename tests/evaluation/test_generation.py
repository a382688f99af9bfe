from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.data.templates import FAMILIES

from mixwise.errors import CheckpointError, DataError, EvaluationError, RecipeError
from mixwise.evaluation.generation import GenerationSet
from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite
from mixwise.recipe import load_recipe
from mixwise.scorer import Part
from mixwise.study.inputs import Inputs, Settings
from mixwise.testing import check_evaluation_set

PROMPTS = ("one two", "one two three four five", "un deux", "c", "trois un deux un", "a b")


MODULE = """\
import math

def length(text, answers):
    assert answers == ["three", "3"]
    return -len(text)

def says_so(text, answers):
    return text in answers

def nothing(text, answers):
    return None

def infinite(text, answers):
    return math.inf

def raises(text, answers):
    raise KeyError("no such answer")
"""


def open_set(
    pico: Path,
    keys: str = "measures: [exact_match, f1]",
    *,
    trusted: bool = True,
    rows: Sequence[Mapping[str, Any]] = (),
    fields: str = "prompt: question",
) -> GenerationSet:
    rows = rows or [{"question": prompt, "answer": ["three", 3]} for prompt in PROMPTS]
    (pico / f"grades_{pico.parent.name}.py").write_text(MODULE)
    (pico / "say.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (pico / "recipe.yaml").read_text()
    old = "    quiz: {files: quiz.jsonl, kind: choice}\n"
    assert old in text
    start = f"files: say.jsonl, kind: generation, fields: {{{fields}}}, max_new_tokens: 8"
    (pico / "other.yaml").write_text(text.replace(old, f"{old}    say: {{{start}, {keys}}}\n"))
    settings = Settings(pico, pico / "tokens", trust_remote_code=trusted)
    inputs = Inputs(load_recipe(pico / "other.yaml"), settings)
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


def test_what_was_read_and_written_is_counted(pico: Path, model: Any) -> None:
    chosen = open_set(pico)
    part = Part(0, 1, 2)
    *_, lengths = found = chosen.evaluate(model, part)
    assert lengths.metric == "say/tokens_written"
    examples = part.examples(len(PROMPTS)).tolist()
    for i, n_written in zip(examples, lengths.examples, strict=True):
        ids = torch.tensor([chosen.prompts[i]])
        whole = model.generate(input_ids=ids, max_new_tokens=8, do_sample=False, pad_token_id=0)
        assert n_written == whole.shape[1] - ids.shape[1]  # alone, nothing is padded
    n_read = sum(len(chosen.prompts[i]) for i in examples)
    assert chosen.spent_tokens(found, part) == n_read + lengths.examples.sum()
    suite = PreparedSuite(EvaluationSuite((chosen,), 4, ()), "cpu")
    assert suite.n_tokens(part, found) == chosen.spent_tokens(found, part)
    assert suite.n_tokens(part) == round(chosen.n_tokens / 2)  # before, the limit


def test_a_stop_text_is_paid_for_and_its_padding_is_not(pico: Path, model: Any) -> None:
    chosen = open_set(pico)
    [text] = chosen.write(model, [1])
    assert text is not None
    *_, lengths = open_set(pico, f"stop: [{json.dumps(text[0])}]").evaluate(model)
    assert lengths.examples[1] == 1
    assert lengths.examples.max() == 8


def test_an_answer_that_ends_at_once_is_one_token(pico: Path, model: Any) -> None:
    chosen = open_set(pico)
    first = int(model(input_ids=torch.tensor([chosen.prompts[1]])).logits[0, -1].argmax())
    *_, lengths = replace(chosen, end_of_turn=first).evaluate(model)
    assert lengths.examples[1] == 1


def test_logits_that_are_no_numbers_are_an_error(pico: Path, model: Any) -> None:
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(EvaluationError, match=r"`say/exact_match` must be finite .* 6 of 6"):
        open_set(pico).evaluate(model)


def graded(pico: Path, name: str) -> str:
    return f"measures: [function], function: 'grades_{pico.parent.name}:{name}'"


def test_a_function_grades_what_is_written(pico: Path, model: Any) -> None:
    chosen = open_set(pico, graded(pico, "length"))
    found, _ = chosen.evaluate(model)
    assert found.metric == "say/function"
    written = chosen.write(model, range(len(PROMPTS)))
    assert found.examples.tolist() == [-len(text or "") for text in written]
    check_evaluation_set(chosen, model)
    right, _ = open_set(pico, graded(pico, "says_so") + ", pattern: '(never)'").evaluate(model)
    assert right.value == 0  # what the pattern does not find is an empty text


def test_another_file_of_the_function_is_another_fingerprint(pico: Path) -> None:
    chosen = open_set(pico, graded(pico, "length"))
    before = chosen.fingerprint
    (pico / f"grades_{pico.parent.name}.py").write_text(MODULE + "\n")
    assert chosen.fingerprint != before


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("nothing", r"`say`: `.*:nothing` must return a finite number .*: mend it"),
        ("infinite", "must return a finite number"),
        ("raises", r"`say`: `.*:raises` failed \(KeyError: 'no such answer'\)"),
    ],
)
def test_what_a_function_that_grades_may_not_do(
    pico: Path, model: Any, name: str, rule: str
) -> None:
    with pytest.raises(EvaluationError, match=rule):
        open_set(pico, graded(pico, name)).evaluate(model)


def test_a_function_that_grades_is_code_of_the_recipe(pico: Path) -> None:
    with pytest.raises(RecipeError, match=r"allow it by `--trust-remote-code`"):
        open_set(pico, graded(pico, "length"), trusted=False)
    with pytest.raises(RecipeError, match="cannot be imported"):
        open_set(pico, graded(pico, "missing"))


def give_template(pico: Path, name: str = "zephyr") -> None:
    file = pico / "base" / "tokenizer_config.json"
    template = {"chat_template": FAMILIES[name].template(marked=False)}
    file.write_text(json.dumps(json.loads(file.read_text()) | template))


def test_a_chat_template_asks_as_a_user_and_begins_the_answer(pico: Path) -> None:
    give_template(pico)
    chosen = open_set(pico, "apply_chat_template: true")
    texts = [chosen.tokenizer.tokenizer.decode(ids) for ids in chosen.prompts]
    assert texts[0] == "<|user|>\none two<|end|>\n<|assistant|>\n"
    assert chosen.fingerprint != open_set(pico).fingerprint
    assert chosen.end_of_turn == chosen.tokenizer.end_of_text  # zephyr's


def test_turns_are_asked_and_the_last_answer_is_right(pico: Path) -> None:
    give_template(pico)
    talk = [
        {"role": "system", "content": "count"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
    ]
    rows = [{"talk": talk}]
    chosen = open_set(pico, "apply_chat_template: true", rows=rows, fields="messages: talk")
    [ids] = chosen.prompts
    assert chosen.tokenizer.tokenizer.decode(ids) == (
        "<|system|>\ncount<|end|>\n<|user|>\none<|end|>\n<|assistant|>\n"
    )
    assert chosen.questions[0].answers == ("two",)
    with pytest.raises(DataError, match=r"say\.jsonl:1: turns are asked by the chat template: set"):
        open_set(pico, "seed: 0", rows=rows, fields="messages: talk")


def test_an_answer_ends_at_the_end_of_turn(pico: Path, model: Any) -> None:
    give_template(pico)
    chosen = open_set(pico, "apply_chat_template: true")
    ids = torch.tensor([chosen.prompts[1]])
    first = int(model(input_ids=ids).logits[0, -1].argmax())
    assert chosen.write(model, [1]) != [""]
    assert replace(chosen, end_of_turn=first).write(model, [1]) == [""]


def test_asking_needs_a_template(pico: Path) -> None:
    with pytest.raises(CheckpointError, match="the tokenizer has no chat template"):
        open_set(pico, "apply_chat_template: true")


def test_a_file_with_a_template_serves_questions_too(pico: Path) -> None:
    (pico / "chat.jinja").write_text(FAMILIES["chatml"].template(marked=False))
    recipe = pico / "recipe.yaml"
    recipe.write_text(
        recipe.read_text().replace("base: base", "base: base\nchat_template: chat.jinja")
    )
    chosen = open_set(pico, "apply_chat_template: true")
    text = chosen.tokenizer.tokenizer.decode(chosen.prompts[0])
    assert text == "<|im_start|>user\none two<|im_end|>\n<|im_start|>assistant\n"
    assert chosen.end_of_turn is None  # no token of this base
    assert (
        Inputs(load_recipe(pico / "other.yaml"), Settings(pico, pico / "tokens")).problems() == []
    )


@pytest.mark.parametrize(
    ("keys", "error", "rule"),
    [
        ("measures: [bleu]", RecipeError, "measures"),
        ("measures: [pattern_found]", RecipeError, "needs a `pattern`"),
        ("pattern: '('", RecipeError, "is no regular expression"),
        ("seed: 3", RecipeError, "no effect on greedy decoding"),
        ("stop: ['']", RecipeError, "an empty text stops every answer"),
        ("measures: [f1, f1]", RecipeError, "stands twice"),
        ("measures: [function]", RecipeError, "the measure `function` needs a `function`"),
        ("function: 'a:b'", RecipeError, "has no effect, because `measures` does not name it"),
        ("measures: [function], function: own", RecipeError, "must be `module:function`"),
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
