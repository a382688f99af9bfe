"""Records of conversations as ShareGPT has them: turns with ``from`` and ``value``.

Source:
    ``sharegpt`` of LLaMA-Factory and ``chat_template`` of Axolotl, whose names of roles these are.

Departures:
    Turns that hold calls as a text of their own (``function_call``) are refused: `chat` records
    say what is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixwise.errors import DataError, nearest, printable, shown
from mixwise.records.conversation import Conversation, read_turns, require_order
from mixwise.records.row import FileRow, RowReader, Wanted, pick
from mixwise.records.text import read_text
from mixwise.section import Section

_KNOWN = ("conversations", "conversation")
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
}


class SharegptFields(Section):
    """Where the turns of a row stand; dots lead into nested objects.

    ``system``: a field of the text that comes first, which may be empty.
    """

    conversations: str = "conversations"
    system: str | None = None


def reader(fields: SharegptFields, key: str) -> RowReader:
    """Reads turns, and gives them the names that chat templates know."""
    wanted = Wanted(fields.conversations, f"{key}.fields.conversations")
    system = Wanted(fields.system, f"{key}.fields.system") if fields.system else None

    def read(row: FileRow) -> Conversation:
        turns = read_turns(_renamed(pick(row, wanted), row, wanted), row, wanted)
        if system is not None and (text := read_text(row, system)):
            turns = ({"role": "system", "content": text}, *turns)
        require_order(turns, row, wanted)
        return Conversation(turns, row.file, row.line)

    return RowReader((wanted, *([system] if system else [])), read)


def recognise(values: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The fields of a row that holds such turns under a usual name."""
    for name in _KNOWN:
        turns = values.get(name)
        if isinstance(turns, list) and turns and isinstance(turns[0], dict) and "from" in turns[0]:
            has_system = isinstance(values.get("system"), str)
            return {"conversations": name, **({"system": "system"} if has_system else {})}
    return None


def _renamed(turns: Any, row: FileRow, wanted: Wanted) -> Any:
    """The turns with ``role`` and ``content``; what is no list is left to be refused."""
    if not isinstance(turns, list):
        return turns
    return [_turn(turn, i, row, wanted) for i, turn in enumerate(turns)]


def _turn(turn: Any, i: int, row: FileRow, wanted: Wanted) -> Mapping[str, Any]:
    name = f"{printable(wanted.field, 80)}.{i}"
    if not isinstance(turn, Mapping) or not {"from", "value"} <= turn.keys():
        raise DataError(
            f"{row.place}: `{name}` must be an object with `from` and `value`, but got "
            f"{shown(turn)}: repair the row, or name other `records`"
        )
    speaker = turn["from"]
    if not isinstance(speaker, str) or speaker not in _ROLES:
        hint = nearest(speaker, _ROLES) if isinstance(speaker, str) else "name one"
        raise DataError(f"{row.place}: `{name}.from` is not known, {shown(speaker)}: {hint}")
    return {"role": _ROLES[speaker], "content": turn["value"]}
