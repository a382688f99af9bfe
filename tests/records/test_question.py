from pathlib import Path

import pytest
from tests.data.rows import write_lines

from mixwise.data.sources import read_records
from mixwise.errors import DataError
from mixwise.recipe import EvaluationSource
from mixwise.records.question import QuestionFields
from mixwise.records.record import QuestionRecord


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


QUESTION, ANSWER = {"role": "user", "content": "2+2"}, {"role": "assistant", "content": "4"}


def read_talk(folder: Path, *turns: object) -> QuestionRecord:
    write_lines(folder / "q.jsonl", {"talk": list(turns)})
    own = {"files": "q.jsonl", "kind": "generation", "fields": {"messages": "talk"}}
    [found] = read_records(EvaluationSource.model_validate(own), folder, "evaluation.sets.q")
    assert isinstance(found, QuestionRecord)
    return found


def test_the_last_turn_is_the_right_answer_and_the_others_are_asked(tmp_path: Path) -> None:
    system = {"role": "system", "content": "count"}
    found = read_talk(tmp_path, system, QUESTION, ANSWER)
    assert found.asked.turns == (system, QUESTION)
    assert (found.answers, found.text, found.is_plain) == (("4",), "2+2\n4", False)
    assert found.place.endswith("q.jsonl:1")


@pytest.mark.parametrize(
    ("turns", "rule"),
    [
        ((QUESTION,), "must end in a text of the assistant, .* ends in a turn of the user"),
        ((QUESTION, QUESTION), "the roles are out of order"),
        (({"role": "system", "content": "s"},), "must end in a text of the assistant"),
        (
            (QUESTION, {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}),
            "must end in a text of the assistant",
        ),
        ((), "must be a list of turns"),
    ],
)
def test_turns_that_ask_nothing_or_answer_nothing_are_named(
    tmp_path: Path, turns: tuple[object, ...], rule: str
) -> None:
    with pytest.raises(DataError, match=rf"q\.jsonl:1: .*{rule}"):
        read_talk(tmp_path, *turns)


def test_fields_of_texts_have_no_effect_beside_turns() -> None:
    with pytest.raises(ValueError, match="have no effect beside `messages`"):
        QuestionFields(messages="talk", prompt="q")
