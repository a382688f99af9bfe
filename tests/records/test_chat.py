from typing import Any

import pytest

from mixwise.errors import DataError
from mixwise.records.chat import ChatFields, reader, recognise
from mixwise.records.conversation import Conversation
from mixwise.records.row import FileRow

ASKED = {"role": "user", "content": "a"}
ANSWERED = {"role": "assistant", "content": "b"}
TOOL = {"type": "function", "function": {"name": "f"}}


def read(values: dict[str, Any], **fields: str) -> Conversation:
    found = reader(ChatFields(**fields), "domains.d").read(FileRow(values, "d", 3))
    assert isinstance(found, Conversation)
    return found


def test_turns_are_read_from_their_field() -> None:
    found = read({"talk": {"turns": [ASKED, ANSWERED]}}, messages="talk.turns")
    assert found == Conversation((ASKED, ANSWERED), "d", 3)


def test_turns_of_a_prompt_come_first_and_are_given() -> None:
    values = {"prompt": [ASKED], "completion": [ANSWERED]}
    found = read(values, prompt="prompt", messages="completion")
    assert found == Conversation((ASKED, ANSWERED), "d", 3, n_given=1)


@pytest.mark.parametrize("tools", [[TOOL], '[{"type": "function", "function": {"name": "f"}}]'])
def test_tools_are_schemas_or_their_text(tools: Any) -> None:
    found = read({"messages": [ASKED, ANSWERED], "tools": tools}, tools="tools")
    assert found.tools == (TOOL,)


@pytest.mark.parametrize("tools", [None, [], "", "null"])
def test_a_row_may_have_no_tools(tools: Any) -> None:
    assert read({"messages": [ASKED], "tools": tools}, tools="tools").tools is None


@pytest.mark.parametrize(
    "tools", ["{", "1", "9" * 5000, "[" * 10**5, ["f"], {"name": "f"}], ids=lambda t: repr(t)[:9]
)
def test_other_tools_are_refused(tools: Any) -> None:
    rule = r"d:3: `tools` must be a list of JSON schemas, or its text, .* `domains.d.fields.tools`"
    with pytest.raises(DataError, match=rule):
        read({"messages": [ASKED], "tools": tools}, tools="tools")


def test_a_row_without_turns_is_refused() -> None:
    with pytest.raises(DataError, match=r"d:3: the field `messages` is missing"):
        read({"conversation": [ASKED]})
    with pytest.raises(DataError, match=r"d:3: `chosen`: the roles are out of order, turn 2"):
        read({"prompt": [ASKED], "chosen": [ASKED]}, prompt="prompt", messages="chosen")


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"id": 1, "messages": [ASKED]}, {"messages": "messages"}),
        ({"messages": [ASKED], "prompt": "a"}, {"messages": "messages"}),
        ({"messages": [ASKED], "tools": []}, {"messages": "messages", "tools": "tools"}),
        (
            {"prompt": [ASKED], "completion": [ANSWERED]},
            {"messages": "completion", "prompt": "prompt"},
        ),
        ({"prompt": "a", "chosen": [ASKED], "rejected": [ASKED]}, {"messages": "chosen"}),
        (
            {"prompt": [ASKED], "chosen": [ANSWERED], "rejected": [ANSWERED]},
            {"messages": "chosen", "prompt": "prompt"},
        ),
        ({"messages": "text"}, None),
        ({"messages": [{"from": "human"}]}, None),
        ({"id": 1, "messages": []}, {"messages": "messages"}),
        ({"completion": []}, None),
    ],
)
def test_usual_layouts_are_recognised(values: dict[str, Any], fields: dict[str, str]) -> None:
    assert recognise(values) == fields
