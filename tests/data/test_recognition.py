import json
import re
from pathlib import Path
from typing import Any

import pytest

from mixwise.data.recognition import Recognised, recognise, recognise_source
from mixwise.errors import DataError, RecipeError
from mixwise.recipe import Domain, EvaluationSource
from mixwise.records.text import TextFields

ARC = {"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}
HELLASWAG = {"ind": 1, "ctx": "c", "endings": ["a", "b"], "label": "1", "activity_label": "x"}


TALK = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
SHAREGPT = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
ALPACA = {"instruction": "i", "input": "", "output": "o"}


def look(folder: Path, row: dict[str, Any]) -> Recognised:
    path = folder / "d.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return recognise(path)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"id": "1", "text": "a"}, "text"),
        ({"url": "http://x", "content": "a"}, "content"),
        ({"doc_id": "1", "story": "a", "n": 3}, "story"),
    ],
)
def test_the_field_of_the_text_is_found(tmp_path: Path, row: dict[str, Any], field: str) -> None:
    assert look(tmp_path, row) == Recognised("text", {"text": field})


@pytest.mark.parametrize("row", [ARC, HELLASWAG, {"prompt": "p", "choices": ["a"], "answer": 0}])
def test_rows_of_multiple_choice_are_no_text(tmp_path: Path, row: dict[str, Any]) -> None:
    found = look(tmp_path, row)
    assert found.records == "choice"
    assert set(found.fields) >= {"prompt", "choices", "answer"}


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"prompt": "p", "completion": "c"}, {"prompt": "prompt", "completion": "completion"}),
        (
            {"id": 1, "question": "q", "answer": "a"},
            {"prompt": "question", "completion": "answer", "separator": "\n"},
        ),
    ],
)
def test_prompts_with_completions_are_told_from_texts(
    tmp_path: Path, row: dict[str, Any], fields: dict[str, str]
) -> None:
    assert look(tmp_path, row) == Recognised("prompt-completion", fields)


@pytest.mark.parametrize(
    ("row", "records", "fields"),
    [
        ({"id": "1", "messages": TALK}, "chat", {"messages": "messages"}),
        ({"prompt": "a", "prompt_id": "1", "messages": TALK}, "chat", {"messages": "messages"}),
        (
            {"source": "x", "conversations": SHAREGPT},
            "sharegpt",
            {"conversations": "conversations"},
        ),
        (ALPACA, "alpaca", {name: name for name in ALPACA}),
        (
            {"prompt": "p", "chosen": TALK, "rejected": TALK, "score": 1.0},
            "chat",
            {"messages": "chosen"},
        ),
        (
            {"prompt": "p", "chosen": "a", "rejected": "b"},
            "prompt-completion",
            {"prompt": "prompt", "completion": "chosen"},
        ),
    ],
)
def test_conversations_and_the_chosen_side_of_pairs_are_recognised(
    tmp_path: Path, row: dict[str, Any], records: str, fields: dict[str, str]
) -> None:
    assert look(tmp_path, row) == Recognised(records, fields)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"messages": TALK, "conversations": SHAREGPT}, r"may be chat \(`messages`\) or sharegpt"),
        (
            {"messages": TALK, "text": "t"},
            r"chat \(`messages`\) or text \(`text`\): name one by `r",
        ),
        ({"messages": TALK, "prompt": "p", "response": "r"}, "chat .* or prompt-completion"),
        ({**ALPACA, "text": "t"}, r"alpaca \(`instruction`, `input`, `output`\) or text"),
        ({"text": None, "summary": "a"}, "`text` is no text in the first row: repair it"),
        ({"chosen": "a", "rejected": "b"}, "several fields may be the text .*`chosen`, `rejected`"),
        ({"abstract": "a", "summary": "b"}, "several fields may be the text .*`abstract`"),
        ({"id": "x", "url": "y"}, "no field may be the text"),
    ],
)
def test_what_has_no_way_in_is_told(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    found = look(tmp_path, row)
    assert (found.records, found.fields) == ("", {})
    assert re.search(problem, found.problem)


def source_of(**keys: Any) -> Domain:
    return Domain.model_validate({"files": "d.jsonl", **keys})


def test_a_source_is_read_as_what_its_first_row_is(tmp_path: Path) -> None:
    look(tmp_path, {"messages": TALK})
    found = recognise_source(source_of(learn="completion"), tmp_path, "domains.d")
    assert (found.record_format.name, found.learned) == ("chat", "completion")
    look(tmp_path, {"id": 1, "content": "a"})
    found = recognise_source(source_of(), tmp_path, "domains.d")
    assert found.parts == TextFields(text="content")


def test_what_the_recipe_names_is_left_as_it_is(tmp_path: Path) -> None:
    look(tmp_path, {"messages": TALK, "body": "a"})
    for source in (source_of(field="body"), source_of(records="text"), source_of(records="alpaca")):
        assert recognise_source(source, tmp_path, "domains.d") is source
    (tmp_path / "d.txt").write_text("a")
    plain = source_of(files="d.txt")
    assert recognise_source(plain, tmp_path, "domains.d") is plain
    quiz = EvaluationSource.model_validate({"files": "d.jsonl", "kind": "choice"})
    assert recognise_source(quiz, tmp_path, "evaluation.sets.q") is quiz


def test_rows_that_are_nothing_known_are_left_to_the_reader(tmp_path: Path) -> None:
    for row in ({"a": "x", "b": "y"}, {"prompt": "p", "choices": ["a", "b"], "answer": 0}):
        look(tmp_path, row)
        source = source_of()
        assert recognise_source(source, tmp_path, "domains.d") is source


def test_a_source_that_may_be_two_things_is_refused(tmp_path: Path) -> None:
    look(tmp_path, {"messages": TALK, "text": "t"})
    rule = r"d\.jsonl:1: the rows may be chat .* or text .*: name one by `records` in `domains.d`"
    with pytest.raises(DataError, match=rule):
        recognise_source(source_of(), tmp_path, "domains.d")


def test_what_is_learned_must_fit_what_is_recognised(tmp_path: Path) -> None:
    look(tmp_path, {"text": "t"})
    rule = "`domains.d`: `learn: assistant` cannot be on text records: use all"
    with pytest.raises(RecipeError, match=rule):
        recognise_source(source_of(learn="assistant"), tmp_path, "domains.d")
