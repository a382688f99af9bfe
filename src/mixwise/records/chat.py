"""Records of conversations in ``messages``: turns with a role and a content, tool calls kept.

Source:
    TRL's conversational data sets: ``messages``; ``prompt`` and ``completion``, or ``chosen`` of a
    pair of preferences, as lists of turns; ``tools`` beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mixwise.errors import DataError, printable, shown
from mixwise.records.conversation import Conversation, read_turns, require_order
from mixwise.records.row import FileRow, RowReader, Wanted, pick
from mixwise.section import Section

_KNOWN = ("messages", "completion", "chosen")


class ChatFields(Section):
    """Where the turns of a row stand; dots lead into nested objects.

    ``prompt``: a field of turns that come first and are never learned. ``tools``: a field of the
    JSON schemas of what may be called, or of their text.
    """

    messages: str = "messages"
    prompt: str | None = None
    tools: str | None = None


def reader(fields: ChatFields, key: str) -> RowReader:
    """Reads turns, those of ``prompt`` first."""
    messages = Wanted(fields.messages, f"{key}.fields.messages")
    prompt = Wanted(fields.prompt, f"{key}.fields.prompt") if fields.prompt else None
    tools = Wanted(fields.tools, f"{key}.fields.tools") if fields.tools else None

    def read(row: FileRow) -> Conversation:
        given = read_turns(pick(row, prompt), row, prompt) if prompt else ()
        turns = given + read_turns(pick(row, messages), row, messages)
        require_order(turns, row, messages)
        found = _tools(row, tools) if tools else None
        return Conversation(turns, row.file, row.line, found, n_given=len(given))

    optional = [each for each in (prompt, tools) if each]
    return RowReader((messages, *optional), read)


def recognise(values: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The fields of a row that holds a list of turns under a usual name."""
    name = next((name for name in _KNOWN if _is_turns(values.get(name))), None)
    if name is None and values.get("messages") == []:
        name = "messages"  # the reader tells what is wrong with the row
    if name is None:
        return None
    fields = {"messages": name}
    if name != "messages" and _is_turns(values.get("prompt")):
        fields["prompt"] = "prompt"
    if isinstance(values.get("tools"), list | str):
        fields["tools"] = "tools"
    return fields


def _is_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and (
        "role" in value[0]
    )  # fmt: skip


def _tools(row: FileRow, wanted: Wanted) -> tuple[Mapping[str, Any], ...] | None:
    """Schemas of what may be called; None where a row has none."""
    value = pick(row, wanted)
    try:
        tools = json.loads(value) if isinstance(value, str) and value.strip() else value
    except (ValueError, RecursionError):  # no JSON, numbers too long, or nested too deep
        tools = value
    if not tools:
        return None
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` must be a list of JSON schemas, or its "
            f"text, but got {shown(value)}: repair the row, or name another field in "
            f"`{wanted.key}`"
        )
    return tuple(tools)
