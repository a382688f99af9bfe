from __future__ import annotations

from typing import Any

import pytest

from mixwise.data.whole_rows import WholeRow
from mixwise.errors import DataError
from mixwise.export.layouts import values_of
from mixwise.records.conversation import Conversation
from mixwise.records.record import Document

RENDERED = Document("rendered", "f.jsonl", 3)
USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def talk(*turns: dict[str, Any], **more: Any) -> WholeRow:
    return WholeRow({"id": 1}, Conversation(turns, "f.jsonl", 3, **more), RENDERED)


def test_rows_stay_as_they_stand() -> None:
    assert values_of(talk(USER, ANSWER), "as it stands") == {"id": 1}


def test_pairs_are_cut_where_the_completion_begins() -> None:
    pair = Document("ask\nsay", "f.jsonl", 1, supervised=((4, 7),))
    row = WholeRow({}, pair, pair)
    assert values_of(row, "prompt-completion") == {"prompt": "ask\n", "completion": "say"}
    assert values_of(row, "text") == {"text": "ask\nsay"}


def test_conversations_become_messages_or_sharegpt_turns() -> None:
    system = {"role": "system", "content": "s"}
    row = talk(system, USER, ANSWER, tools=({"name": "look"},))
    assert values_of(row, "messages") == {
        "messages": [system, USER, ANSWER],
        "tools": [{"name": "look"}],
    }
    assert values_of(row, "sharegpt") == {
        "conversations": [
            {"from": "system", "value": "s"},
            {"from": "human", "value": "q"},
            {"from": "gpt", "value": "a"},
        ],
        "tools": '[{"name": "look"}]',
    }


def test_what_a_layout_has_no_place_for_is_refused_by_its_row() -> None:
    thought = {**ANSWER, "reasoning_content": "hm"}
    with pytest.raises(DataError, match=r"f\.jsonl:3: a turn has `reasoning_content`"):
        values_of(talk(USER, thought), "sharegpt")
    given = talk(USER, ANSWER, USER, ANSWER, n_given=3)
    with pytest.raises(DataError, match=r"f\.jsonl:3: an answer before the completion"):
        values_of(given, "messages")
