from typing import Any

import pytest

from mixwise.errors import DataError
from mixwise.records.prompt_completion import PromptCompletionFields, reader, recognise
from mixwise.records.record import Document
from mixwise.records.row import FileRow


def read(values: dict[str, Any], **fields: str) -> Document:
    found = reader(PromptCompletionFields(**fields), "domains.d").read(FileRow(values, "d", 3))
    assert isinstance(found, Document)
    return found


def test_the_completion_alone_is_learned() -> None:
    found = read({"prompt": "é? ", "completion": "yes", "other": 1})
    assert found == Document("é? yes", "d", 3, supervised=((3, 6),))


def test_parts_may_stand_elsewhere_and_the_separator_is_of_the_prompt() -> None:
    found = read(
        {"turn": {"q": "a", "a": "b"}}, prompt="turn.q", completion="turn.a", separator="\n"
    )
    assert found == Document("a\nb", "d", 3, supervised=((2, 3),))


def test_a_prompt_may_be_empty_and_a_completion_without_text_is_an_empty_document() -> None:
    assert not read({"prompt": "", "completion": "b"}).is_empty
    assert read({"prompt": "a", "completion": " \n"}).is_empty


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"prompt": "a"}, r"d:3: the field `completion` is missing \(`domains.d.fields.completion"),
        ({"prompt": ["a"], "completion": "b"}, "d:3: `prompt` must be a text, but got list: name"),
        ({"prompt": "a", "completion": None}, "d:3: `completion` must be a text, but got NoneType"),
        ({"prompt": "\ud800", "completion": "b"}, "d:3: `prompt` is no valid Unicode"),
    ],
)
def test_rows_without_two_texts_are_refused(values: dict[str, Any], rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        read(values)


def test_rows_with_more_parts_than_two_are_not_taken_for_pairs() -> None:
    assert recognise({"instruction": "a", "output": "b"}) == {
        "prompt": "instruction",
        "completion": "output",
        "separator": "\n",
    }
    assert recognise({"instruction": "a", "input": "", "output": "b"}) is None
    assert recognise({"question": "a", "context": "c", "answer": "b"}) is None
    assert recognise({"prompt": "a", "completion": 1}) is None
