"""Conversations: turns with a role each, before a model's chat template makes a text of them.

Method:
    A turn is kept with every key that its row gives it (``tool_calls``, ``reasoning_content``,
    ``name``), since a template may read any of them; keys without a value are left out, because
    Parquet gives each turn the keys of all. The order of the roles is checked here, whatever the
    template would say: a system turn first, users and assistants in turn, a tool after a call.

Source:
    TRL's conversational data sets (``remove_none_values``); the messages of transformers' chat
    templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixwise.errors import DataError, nearest, printable, shown
from mixwise.records.row import FileRow, Wanted, require_unicode

Turn = Mapping[str, Any]
ROLES = ("system", "developer", "user", "assistant", "tool")
_OPENING = ("system", "developer")
_AFTER: Mapping[str, tuple[str, ...]] = {
    "system": ("",),
    "developer": ("",),
    "user": ("", "system", "developer", "assistant"),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}  # the roles that may stand before each; none for the first turn


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one row, and where it stands.

    Args:
        turns: At least one; each has a ``role``, and a ``content`` or ``tool_calls``.
        file: Its file, or the name of its dataset.
        line: Its line (or row), counted from 1.
        tools: What may be called, as JSON schemas; None for nothing.
        n_given: Turns at the beginning that are never learned.
    """

    turns: tuple[Turn, ...]
    file: str
    line: int
    tools: tuple[Mapping[str, Any], ...] | None = None
    n_given: int = 0

    @property
    def place(self) -> str:
        """``file:line``, fit for an error text."""
        return f"{printable(self.file)}:{self.line}"

    @property
    def answers(self) -> tuple[int, ...]:
        """Which turns are the assistant's and may be learned."""
        return tuple(
            i for i, turn in enumerate(self.turns[self.n_given :], start=self.n_given)
            if turn["role"] == "assistant"
        )  # fmt: skip


def read_turns(value: Any, row: FileRow, wanted: Wanted) -> tuple[Turn, ...]:
    """Turns of a field, each by itself sound; see `require_order` for what holds between them.

    Args:
        value: What the field holds.
        row: Its row.
        wanted: The field, for error texts.

    Raises:
        DataError: If it is no list of turns, or a turn has no known role or says nothing.
    """
    name = printable(wanted.field, 80)
    if not isinstance(value, list) or not value:
        raise DataError(
            f"{row.place}: `{name}` must be a list of turns, but got {shown(value)}: repair the "
            f"row, or name another field in `{wanted.key}`"
        )
    return tuple(_turn(each, f"{name}.{i}", row, wanted) for i, each in enumerate(value))


def _turn(value: Any, name: str, row: FileRow, wanted: Wanted) -> Turn:
    turn = _with_values(value)
    if not isinstance(turn, dict):
        raise DataError(
            f"{row.place}: `{name}` must be an object with `role` and `content`, but got "
            f"{shown(value)}: repair the row, or name another field in `{wanted.key}`"
        )
    if "role" not in turn:
        raise DataError(
            f"{row.place}: `{name}` has no `role`, but only {', '.join(map(shown, turn))}: repair "
            "the row, or name other `records`"
        )
    role, content = turn["role"], turn.get("content")
    if role not in ROLES:
        hint = nearest(role, ROLES) if isinstance(role, str) else f"use one of {', '.join(ROLES)}"
        raise DataError(f"{row.place}: `{name}.role` is not known, {shown(role)}: {hint}")
    calls = role == "assistant" and turn.get("tool_calls")
    if not isinstance(content, str) and not (content is None and calls):
        raise DataError(
            f"{row.place}: `{name}.content` must be a text, but got {shown(content)}: repair the "
            "row, or remove it"
        )
    if not calls and role not in _OPENING and not str(content).strip():
        raise DataError(
            f"{row.place}: `{name}` is an empty turn of the {role}: remove it, or fill it"
        )
    require_unicode(content or "", row, wanted)
    return turn


def _with_values(value: Any) -> Any:
    """The same without keys that have no value, however deep."""
    if isinstance(value, Mapping):
        return {key: _with_values(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_with_values(each) for each in value]
    return value


def require_order(turns: Sequence[Turn], row: FileRow, wanted: Wanted) -> None:
    """Refuse turns whose roles cannot follow each other.

    Raises:
        DataError: Names the first one that cannot stand where it does.
    """
    before = ""
    for i, turn in enumerate(turns):
        role = turn["role"]
        if before not in _AFTER[role]:
            where = f"follows {before}" if before else "begins"
            raise DataError(
                f"{row.place}: `{printable(wanted.field, 80)}`: the roles are out of order, turn "
                f"{i + 1} ({role}) {where}: join or remove turns"
            )
        before = role
