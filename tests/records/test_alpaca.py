from typing import Any

import pytest

from mixwise.errors import DataError
from mixwise.records.alpaca import AlpacaFields, reader, recognise
from mixwise.records.conversation import Conversation
from mixwise.records.row import FileRow

ROW = {"instruction": "Add.", "input": "2, 2", "output": "4"}


def read(values: dict[str, Any], **fields: str | None) -> Conversation:
    found = reader(AlpacaFields(**fields), "domains.d").read(FileRow(values, "d", 3))
    assert isinstance(found, Conversation)
    return found


def test_instruction_and_input_are_asked_and_the_output_answers() -> None:
    answer = {"role": "assistant", "content": "4"}
    asked = {"role": "user", "content": "Add.\n2, 2"}
    assert read(ROW) == Conversation((asked, answer), "d", 3)
    without = read({"instruction": "Add.", "output": "4"}, input=None)
    assert without == read(ROW | {"input": ""})
    assert without.turns == ({"role": "user", "content": "Add."}, answer)
    found = read(ROW | {"system": "s"}, system="system")
    assert found.turns == ({"role": "system", "content": "s"}, asked, answer)
    assert read(ROW | {"system": ""}, system="system").turns == (asked, answer)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"instruction": " "}, "d:3: `instruction` is empty: fill it, or remove the row"),
        ({"output": ""}, "d:3: `output` is empty"),
        ({"input": None}, "d:3: `input` must be a text, but got NoneType"),
        ({"output": ["4"]}, "d:3: `output` must be a text, but got list"),
    ],
)
def test_rows_without_their_parts_are_refused(change: dict[str, Any], rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        read(ROW | change)
    with pytest.raises(DataError, match=r"d:3: the field `output` is missing"):
        read({"instruction": "a", "input": ""})


def test_rows_are_recognised_unless_earlier_turns_would_be_lost() -> None:
    assert recognise(ROW) == {name: name for name in ROW}
    assert recognise(ROW | {"system": "s"}) == {name: name for name in (*ROW, "system")}
    assert recognise(ROW | {"history": [["a", "b"]]}) is None
    assert recognise({"instruction": "a", "output": "b"}) is None
