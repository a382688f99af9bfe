"""Tasks of lm-eval in process against the harness' own command on a saved checkpoint."""

from __future__ import annotations

import json
import math
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.harness.tasks import write_tasks

from mixwise.errors import DataError, MixwiseError, RecipeError
from mixwise.evaluation.harness.sets import TaskChoices, TaskSet
from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite
from mixwise.recipe import load_recipe
from mixwise.scorer import Part
from mixwise.study.inputs import Inputs, Settings

pytest.importorskip("lm_eval")
SETS = """\
    own_quiz: {kind: lm-eval, task: own_quiz, include_path: tasks, documents: all,
               measures: [acc, acc_norm, answer_bits_per_byte]}
    own_texts: {kind: lm-eval, task: own_texts, include_path: tasks, documents: all,
                measures: [log_word_perplexity, log_byte_perplexity, bits_per_byte]}
    own_say: {kind: lm-eval, task: own_say, include_path: tasks, documents: all,
              measures: [exact_match]}
"""


def inputs_of(pico: Path, sets: str = SETS) -> Inputs:
    text = (pico / "recipe.yaml").read_text()
    old = "    quiz: {files: quiz.jsonl, kind: choice}\n"
    assert old in text
    (pico / "other.yaml").write_text(text.replace(old, old + sets))
    return Inputs(load_recipe(pico / "other.yaml"), Settings(pico, pico / "tokens"))


@pytest.fixture
def tasks(pico: Path) -> Path:
    write_tasks(pico)
    return pico


def load_model(folder: Path, scale: float = 1.0) -> Any:
    """The base, or another model of its shape."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.mul_(scale)
    return model.eval()


def by_command(
    pico: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, Any]]:
    """What the command says of a checkpoint, by task.

    It runs in this process, and without an index of the harness' own thousands of tasks, which
    takes longer than all the rest.
    """
    import lm_eval.tasks
    from lm_eval.__main__ import cli_evaluate

    saved, out = pico / "saved", pico / "out"
    model.save_pretrained(saved)
    for file in (pico / "base").glob("tokenizer*"):
        (saved / file.name).write_bytes(file.read_bytes())
    command = [
        *("lm_eval", "run", "--model", "hf"),
        *("--model_args", f"pretrained={saved},dtype=float32", "--device", "cpu"),
        *("--tasks", "own_quiz,own_texts,own_say", "--include_path", str(pico / "tasks")),
        *("--batch_size", "4", "--output_path", str(out)),
    ]
    own_alone = partial(lm_eval.tasks.TaskManager, include_defaults=False)
    monkeypatch.setattr(lm_eval.tasks, "TaskManager", own_alone)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # or the harness sets it for good
    monkeypatch.setattr(sys, "argv", command)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the harness' own
        cli_evaluate()
    [file] = out.rglob("results_*.json")
    found: dict[str, dict[str, Any]] = json.loads(file.read_text())["results"]
    return found


def test_numbers_are_those_of_the_command_on_the_saved_checkpoint(
    tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = EvaluationSuite(inputs_of(tasks).suite.sets[-3:], 4)
    model = load_model(tasks / "base", 3.0)
    measured = {m.metric: m.value for m in PreparedSuite.of(suite, model).evaluate(model)}
    found = by_command(tasks, model, monkeypatch)
    expected = {
        "own_quiz/acc": found["own_quiz"]["acc,none"],
        "own_quiz/acc_norm": found["own_quiz"]["acc_norm,none"],
        "own_texts/log_word_perplexity": math.log(found["own_texts"]["word_perplexity,none"]),
        "own_texts/log_byte_perplexity": math.log(found["own_texts"]["byte_perplexity,none"]),
        "own_texts/bits_per_byte": found["own_texts"]["bits_per_byte,none"],
        "own_say/exact_match": found["own_say"]["exact_match,letters"],
    }
    printed = {name: round(value, 4) for name, value in expected.items()}  # as the command does
    assert {name: round(measured[name], 4) for name in expected} == printed
    assert 0 < measured["own_quiz/acc"] < 1


def test_another_model_gives_other_answers_and_the_first_its_own_again(tasks: Path) -> None:
    suite = EvaluationSuite(inputs_of(tasks).suite.sets[-3:], 4)
    model, other = load_model(tasks / "base"), load_model(tasks / "base", 3.0).state_dict()
    prepared, first_state = PreparedSuite.of(suite, model), model.state_dict()
    own = {name: tensor.clone() for name, tensor in first_state.items()}
    first = [m.examples.tolist() for m in prepared.evaluate(model)]
    model.load_state_dict(other)
    second = [m.examples.tolist() for m in prepared.evaluate(model)]
    model.load_state_dict(own)
    assert second != first
    assert [m.examples.tolist() for m in prepared.evaluate(model)] == first


def test_parts_are_the_same_documents(tasks: Path) -> None:
    suite = EvaluationSuite(inputs_of(tasks).suite.sets[-3:], 4)
    model = load_model(tasks / "base", 3.0)
    prepared = PreparedSuite.of(suite, model)
    for chosen in suite.sets:
        whole = prepared.measure(model, chosen)
        parts = [Part(k, k + 1, 2) for k in (0, 1)]
        for part in parts:
            for m, expected in zip(prepared.measure(model, chosen, part), whole, strict=True):
                rows = part.examples(chosen.n_examples)
                np.testing.assert_allclose(m.examples, expected.examples[rows], atol=1e-5)


def test_choices_are_likelihoods_and_other_tasks_are_given_the_model(tasks: Path) -> None:
    quiz, texts, say = inputs_of(tasks).suite.sets[-3:]
    assert isinstance(quiz, TaskChoices)
    assert isinstance(texts, TaskSet)
    assert isinstance(say, TaskSet)
    assert [metric.name for metric in quiz.metrics if metric.is_differentiable] == [
        "own_quiz/answer_bits_per_byte"
    ]
    assert len(quiz.differentiable().metrics) == 1
    assert say.n_tokens >= 24 * 6  # what may be written counts too


def test_halves_are_apart_and_together_all(tasks: Path) -> None:
    sets = "".join(
        f"    half_{half}: {{kind: lm-eval, task: own_quiz, include_path: tasks,"
        f" measures: [acc], documents: {half}}}\n"
        for half in ("search", "report", "all")
    )
    search, report, every = inputs_of(tasks, sets).suite.sets[-3:]
    assert 0 < search.n_examples < every.n_examples
    assert search.n_examples + report.n_examples == every.n_examples
    assert len({search.fingerprint, report.fingerprint, every.fingerprint}) == 3


def test_other_data_are_another_fingerprint(tasks: Path) -> None:
    before = inputs_of(tasks).suite.sets[-3].fingerprint
    file = tasks / "quiz-task.jsonl"
    file.write_text(file.read_text().replace("trois", "quatre"))
    assert inputs_of(tasks).suite.sets[-3].fingerprint != before


def test_data_that_change_while_a_set_is_open_are_refused(tasks: Path) -> None:
    quiz, texts, _ = inputs_of(tasks).suite.sets[-3:]
    assert isinstance(quiz, TaskChoices)
    assert isinstance(texts, TaskSet)
    file = tasks / "texts-task.jsonl"
    file.write_text(file.read_text().replace("one", "eins"))
    inputs_of(tasks)  # another study of this process opens the task anew
    _ = inputs_of(tasks).suite
    with pytest.raises(DataError, match="the files of `own_texts` have changed since they were"):
        texts.evaluate(load_model(tasks / "base"))
    assert quiz.measure(np.ones(72))  # its files are the same


@pytest.mark.parametrize(
    ("keys", "error", "rule"),
    [
        (
            "task: own_quizz, measures: [acc]",
            RecipeError,
            "knows no task `own_quizz` in .*own_quiz",
        ),
        (
            "task: own_quiz, measures: [exact_match]",
            RecipeError,
            "has no `exact_match`: use one of",
        ),
        ("task: own_texts, measures: [answer_bits_per_byte]", RecipeError, "no right answer"),
        ("task: own_quiz, measures: {acc: min}", RecipeError, "better at its maximum, but the"),
        ("task: own_say, measures: [exact_match], filter: digits", RecipeError, "has no filter"),
        ("task: own_quiz, measures: [word_perplexity]", RecipeError, "use `log_word_perplexity`"),
        ("task: own_quiz, measures: [f1x]", RecipeError, "say it, as in `measures: {f1x: max}`"),
        ("task: own_quiz, measures: []", RecipeError, "must name a metric of the task"),
        ("task: own_quiz, measures: [acc], num_fewshots: 2", RecipeError, "did you mean `num_few"),
        ("task: own_quiz", RecipeError, r"own\.measures|measures`: this key is required"),
        ("task: own_bad, measures: [acc]", DataError, "cannot be opened"),
        ("task: own_quiz, measures: [acc], apply_chat_template: true", RecipeError, "no chat temp"),
    ],
)
def test_bad_input_is_named(tasks: Path, keys: str, error: type, rule: str) -> None:
    text = (tasks / "tasks" / "own_quiz.yaml").read_text()
    bad = text.replace("task: own_quiz", "task: own_bad").replace("quiz-task", "missing")
    (tasks / "tasks" / "own_bad.yaml").write_text(bad)
    with pytest.raises(error, match=rule):
        _ = inputs_of(tasks, f"    bad: {{kind: lm-eval, include_path: tasks, {keys}}}\n").suite


def test_a_folder_of_tasks_that_is_none_is_named(tasks: Path) -> None:
    with pytest.raises(MixwiseError, match=r"include_path`: .*nowhere is no folder"):
        _ = inputs_of(
            tasks, "    bad: {kind: lm-eval, task: a, include_path: nowhere, measures: [acc]}\n"
        ).suite


def test_documents_that_stand_in_training_data_are_found(tasks: Path) -> None:
    quiz = [json.loads(line) for line in (tasks / "quiz-task.jsonl").read_text().splitlines()]
    quiz[3]["question"] = "which word comes after the two that were just said in a row of words"
    (tasks / "quiz-task.jsonl").write_text("".join(json.dumps(row) + "\n" for row in quiz))
    with (tasks / "beta.jsonl").open("a") as file:
        for k in range(3):
            file.write(json.dumps({"text": f"{k} {quiz[3]['question'].upper()} -> three"}) + "\n")
    [leak] = inputs_of(tasks).leaks["own_quiz"].leaks
    assert (leak.place, leak.domain) == ("own_quiz:4", "beta")
