from pathlib import Path

import pytest
from tests.data.rows import write_lines

from mixwise.data.sources import read_records
from mixwise.errors import DataError
from mixwise.recipe import EvaluationSource


def test_answers_are_texts_or_numbers(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "q.jsonl", {"prompt": "2+2=", "answer": 4}, {"prompt": "p", "answer": ["a", "b"]}
    )
    source = EvaluationSource(files=("q.jsonl",), kind="generation")
    first, second = read_records(source, tmp_path, "evaluation.sets.q")
    assert (first.prompt, first.answers, first.text) == ("2+2=", ("4",), "2+2=4")
    assert second.answers == ("a", "b")


@pytest.mark.parametrize("answer", [None, "", " ", [], ["a", ""], True, {"a": 1}])
def test_a_row_without_an_answer_is_named(tmp_path: Path, answer: object) -> None:
    write_lines(tmp_path / "q.jsonl", {"prompt": "p", "answer": answer})
    source = EvaluationSource(files=("q.jsonl",), kind="generation")
    with pytest.raises(DataError, match=r"q\.jsonl:1: `answer` must be a non-empty text"):
        list(read_records(source, tmp_path, "evaluation.sets.q"))


def test_a_row_without_a_prompt_is_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "q.jsonl", {"prompt": "", "answer": "a"})
    source = EvaluationSource(files=("q.jsonl",), kind="generation")
    with pytest.raises(DataError, match=r"q\.jsonl:1: `prompt` must be a non-empty text"):
        list(read_records(source, tmp_path, "evaluation.sets.q"))
