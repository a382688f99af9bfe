from typing import Any

import pytest

from mixwise.errors import DataError
from mixwise.records.conversation import Conversation, Turn, read_turns, require_order
from mixwise.records.row import FileRow, Wanted

WANTED = Wanted("messages", "domains.d.fields.messages")


def turns_of(value: Any) -> tuple[Turn, ...]:
    row = FileRow({"messages": value}, "d", 3)
    turns = read_turns(value, row, WANTED)
    require_order(turns, row, WANTED)
    return turns


def by_roles(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": "a"} for role in roles]


def test_every_key_with_a_value_is_kept() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1, "b": None}}}
    turns = turns_of(
        [
            {"role": "user", "content": "a", "tool_calls": None, "name": "Ann"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
    )
    assert turns == (
        {"role": "user", "content": "a", "name": "Ann"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
    )


def test_answers_are_the_assistants_turns_that_are_not_given() -> None:
    turns = tuple(by_roles("user", "assistant", "user", "assistant", "user"))
    assert Conversation(turns, "d", 3).answers == (1, 3)
    assert Conversation(turns, "d", 3, n_given=2).answers == (3,)
    assert Conversation(turns, "d", 3).place == "d:3"


@pytest.mark.parametrize(
    "roles",
    [
        ("user",),
        ("system", "user", "assistant", "user"),
        ("developer", "user", "assistant"),
        ("user", "assistant", "tool", "tool", "assistant", "user", "assistant"),
    ],
)
def test_these_roles_can_follow_each_other(roles: tuple[str, ...]) -> None:
    assert [turn["role"] for turn in turns_of(by_roles(*roles))] == list(roles)


@pytest.mark.parametrize(
    ("roles", "rule"),
    [
        (("assistant", "user"), r"roles are out of order, turn 1 \(assistant\) begins: join or"),
        (("user", "user"), r"turn 2 \(user\) follows user"),
        (("user", "assistant", "assistant"), r"turn 3 \(assistant\) follows assistant"),
        (("user", "system", "assistant"), r"turn 2 \(system\) follows user"),
        (("user", "tool"), r"turn 2 \(tool\) follows user"),
        (("system", "assistant"), r"turn 2 \(assistant\) follows system"),
    ],
)
def test_other_orders_are_refused(roles: tuple[str, ...], rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        turns_of(by_roles(*roles))


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (None, r"d:3: `messages` must be a list of turns, but got None: .* `domains.d.fields.mess"),
        ("[]", r"`messages` must be a list of turns, but got '\[\]'"),
        ([], r"`messages` must be a list of turns, but got \[\]"),
        (["hi"], "`messages.0` must be an object with `role` and `content`, but got 'hi'"),
        ([{"from": "human", "value": "a"}], "`messages.0` has no `role`, but only 'from', 'value'"),
        ([{"role": "users", "content": "a"}], r"`messages.0.role` is not known, 'users': did you"),
        ([{"role": 1, "content": "a"}], "`messages.0.role` is not known, 1: use one of system"),
        ([{"role": "user"}], "`messages.0.content` must be a text, but got None"),
        ([{"role": "user", "content": ["a"]}], r"`messages.0.content` must be a text, but got \["),
        ([{"role": "user", "content": " \n"}], "`messages.0` is an empty turn of the user: remove"),
        ([{"role": "user", "content": "\ud800"}], "d:3: `messages` is no valid Unicode"),
    ],
)
def test_turns_that_say_nothing_sound_are_refused(value: Any, rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        turns_of(value)


def test_a_system_turn_may_be_empty() -> None:
    assert turns_of([{"role": "system", "content": ""}, *by_roles("user")])
