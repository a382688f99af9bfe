from typing import Any

import pytest

from mixwise.errors import DataError
from mixwise.records.conversation import Conversation
from mixwise.records.row import FileRow
from mixwise.records.sharegpt import SharegptFields, reader, recognise

TURNS = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
READ = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})


def read(values: dict[str, Any], **fields: str) -> Conversation:
    found = reader(SharegptFields(**fields), "domains.d").read(FileRow(values, "d", 3))
    assert isinstance(found, Conversation)
    return found


def test_turns_get_the_names_that_templates_know() -> None:
    assert read({"conversations": TURNS}) == Conversation(READ, "d", 3)
    tool = [*TURNS, {"from": "observation", "value": "4"}, {"from": "model", "value": "c"}]
    assert [turn["role"] for turn in read({"conversations": tool}).turns[2:]] == [
        "tool",
        "assistant",
    ]


def test_a_system_field_comes_first_unless_it_is_empty() -> None:
    found = read({"conversations": TURNS, "system": "s"}, system="system")
    assert found.turns == ({"role": "system", "content": "s"}, *READ)
    assert read({"conversations": TURNS, "system": ""}, system="system").turns == READ


@pytest.mark.parametrize(
    ("turns", "rule"),
    [
        (None, "d:3: `conversations` must be a list of turns, but got None"),
        ([{"from": "human"}], "`conversations.0` must be an object with `from` and `value`"),
        (["a"], "`conversations.0` must be an object with `from` and `value`, but got 'a'"),
        ([{"from": "humans", "value": "a"}], r"`conversations.0.from` is not known, 'humans': did"),
        ([{"from": None, "value": "a"}], r"`conversations.0.from` is not known, None: name one"),
        ([{"from": "human", "value": None}], "`conversations.0.content` must be a text"),
        ([TURNS[1]], r"roles are out of order, turn 1 \(assistant\) begins"),
    ],
)
def test_other_turns_are_refused(turns: Any, rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        read({"conversations": turns})


def test_usual_layouts_are_recognised() -> None:
    assert recognise({"id": 1, "conversations": TURNS}) == {"conversations": "conversations"}
    assert recognise({"conversation": TURNS, "system": "s"}) == {
        "conversations": "conversation",
        "system": "system",
    }
    assert recognise({"conversations": list(READ)}) is None
    assert recognise({"conversations": []}) is None
