import json
import re
from pathlib import Path
from typing import Any

import pytest

from mixwise.data.recognition import Recognised, recognise

ARC = {"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}
HELLASWAG = {"ind": 1, "ctx": "c", "endings": ["a", "b"], "label": "1", "activity_label": "x"}


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
    ("row", "problem"),
    [
        ({"id": "1", "messages": []}, "`messages`.* not supported yet"),
        ({"id": "1", "conversations": []}, "`conversations`.* not supported yet"),
        ({"instruction": "i", "input": "", "output": "o"}, "`instruction`, `input` and `output`"),
        ({"abstract": "a", "summary": "b"}, "several fields may be the text .*`abstract`"),
        ({"id": "x", "url": "y"}, "no field may be the text"),
    ],
)
def test_what_has_no_way_in_is_told(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    found = look(tmp_path, row)
    assert (found.records, found.fields) == ("", {})
    assert re.search(problem, found.problem)
