"""The chat study: its rows, its tasks, and the whole job in small."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from examples.chat import make_data
from examples.chat.domains import described, records, sums
from examples.chat.make_data import DOMAINS, N_DOCUMENTS, N_ROWS, TASKS, write_rows
from examples.chat.questions import forms, functions, problems, words
from tests.command_line import Cli
from tests.data.templates import FAMILIES

from mixwise.kinds.lm_eval import LmEvalKeys
from mixwise.recipe import load_recipe

FOLDER = Path(make_data.__file__).parent


def test_the_recipe_names_what_is_written() -> None:
    recipe = load_recipe(FOLDER / "recipe.yaml")
    assert {name: source.files for name, source in recipe.domains.items()} == {
        name: (f"data/{name}.jsonl",) for name in DOMAINS
    }
    keys = [each.own for each in recipe.evaluation.sets.values()]
    halves = {(each.task, each.documents) for each in keys if isinstance(each, LmEvalKeys)}
    assert halves == {(f"chat_{name}", half) for name in TASKS for half in ("search", "report")}
    assert [floor.set for floor in recipe.objective.floors] == ["words"]
    for name in TASKS:
        task = yaml.safe_load((FOLDER / "tasks" / f"{name}.yaml").read_text())
        assert task["task"] == f"chat_{name}"
        assert task["dataset_kwargs"]["data_files"]["test"] == f"tasks/{name}.jsonl"


def test_rows_are_as_many_as_are_asked_for_and_always_the_same() -> None:
    for made in DOMAINS.values():
        rows = made(N_ROWS)
        assert len({question for question, _ in rows}) == N_ROWS
        assert rows == made(N_ROWS)
    for asked in TASKS.values():
        documents = asked(N_DOCUMENTS)
        assert len({each["question"] for each in documents}) == N_DOCUMENTS
        assert documents == asked(N_DOCUMENTS)


def test_a_sum_says_what_its_steps_give() -> None:
    for _, answer in sums(50):
        *_, last, _ = answer.split(". ")
        terms, _, result = last.partition(" = ")
        assert answer.endswith(f"The answer is {result}.")
        assert eval(terms.replace(" x ", " * ")) == int(result)


def test_the_right_answer_of_a_problem_is_the_only_one_that_adds_up() -> None:
    for each in problems(50):
        right = []
        for choice in each["choices"]:
            *_, last, _ = choice.split(". ")
            terms, _, result = last.partition(" = ")
            right.append(eval(terms) == int(result))
        assert [k for k, is_right in enumerate(right) if is_right] == [each["answer"]]


def test_records_and_forms_are_answered_by_json_of_the_keys_that_are_asked_for() -> None:
    asked = [*records(50), *((each["question"], each["answer"]) for each in forms(50))]
    for question, answer in asked:
        keys = question.partition("with the keys ")[2].rstrip(".").split(", ")
        assert list(json.loads(answer)) == keys
        assert all(str(value) in question for value in json.loads(answer).values())


def test_functions_are_described_by_the_first_sentence_of_their_own_docstring() -> None:
    found = described("shutil")
    assert found["shutil.copymode"] == "Copy mode bits from src to dst."
    assert "shutil.os" not in found
    assert not any("zlib" in name for name in found)  # what it imports is another's
    for each in functions(20):
        module = each["question"].split("`")[1].rpartition(".")[0]
        assert set(each["choices"]) <= set(described(module).values())


def test_a_word_has_one_right_meaning() -> None:
    first = words(1)[0]
    assert first["question"] == "What is the meaning of the word 'anchor'?"
    assert first["choices"][first["answer"]] == "A heavy hook that holds a ship in its place."
    assert len(first["choices"]) == 3


def write_small(folder: Path, base: Path) -> Path:
    """The example with few rows and a pico base; gives its recipe."""
    shutil.copytree(FOLDER / "tasks", folder / "tasks", ignore=shutil.ignore_patterns("*.jsonl"))
    write_rows(folder, 40, 12)
    shutil.copytree(base, folder / "base")
    edit_json(folder / "base" / "config.json", max_position_embeddings=512)
    template = FAMILIES["chatml"].template(marked=False)
    edit_json(folder / "base" / "tokenizer_config.json", chat_template=template)
    recipe = yaml.safe_load((FOLDER / "recipe.yaml").read_text())
    recipe |= {"horizon_tokens": 2048, "sequence_length": 64}
    recipe["training"] |= {"device": "cpu", "lora": {"rank": 2, "target_modules": ["up_proj"]}}
    recipe["search"]["budget"] = 5
    recipe["engine"]["workers"] = 1
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return folder / "recipe.yaml"


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_whole_job_in_small(
    calm_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mixwise: Cli
) -> None:
    pytest.importorskip("lm_eval")
    monkeypatch.chdir(tmp_path)  # a task's files are found from the recipe's folder
    recipe = write_small(tmp_path / "chat", calm_base)
    code, out, err = mixwise("run", recipe, "--study", "study", "--json")
    assert code == 0, err
    assert set(json.loads(out)["mixture"]) <= set(DOMAINS)
    recommendation = json.loads(Path("study", "recommendation.json").read_text())
    assert list(recommendation["mixture"]) == list(DOMAINS)
    assert [floor["metric"] for floor in recommendation["floors"]] == ["words/answer_bits_per_byte"]
    measured = json.loads(Path("study", "final.json").read_text())["rows"][0]
    assert len(measured["runs"]) == 2
    assert {name.partition("/")[0] for name in measured["runs"][0]["metrics"]} >= {
        f"{name}{half}" for name in TASKS for half in ("", "_report")
    }
