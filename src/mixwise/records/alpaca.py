"""Records of an instruction, an input that may be empty, and an output.

Method:
    A conversation of two turns: the user's is the instruction and, on a new line, the input; the
    assistant's is the output.

Source:
    ``alpaca`` of LLaMA-Factory, which joins the two by a line end.

Departures:
    The sentences of Stanford's Alpaca ("Below is an instruction …") are not put around them: a chat
    template says what stands around a turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixwise.errors import DataError, printable
from mixwise.records.conversation import Conversation
from mixwise.records.row import FileRow, RowReader, Wanted
from mixwise.records.text import read_text
from mixwise.section import Section

_PARTS = ("instruction", "input", "output")


class AlpacaFields(Section):
    """Where the parts of a row stand; dots lead into nested objects.

    ``input``: null where the rows have none. ``system``: a field of the text that comes first,
    which may be empty.
    """

    instruction: str = "instruction"
    input: str | None = "input"
    output: str = "output"
    system: str | None = None


def reader(fields: AlpacaFields, key: str) -> RowReader:
    """Reads the parts; all are texts, and the input may be empty."""
    instruction = Wanted(fields.instruction, f"{key}.fields.instruction")
    output = Wanted(fields.output, f"{key}.fields.output")
    more = Wanted(fields.input, f"{key}.fields.input") if fields.input else None
    system = Wanted(fields.system, f"{key}.fields.system") if fields.system else None

    def read(row: FileRow) -> Conversation:
        asked = [_read_filled(row, instruction), read_text(row, more) if more else ""]
        turns = [
            {"role": "user", "content": "\n".join(text for text in asked if text)},
            {"role": "assistant", "content": _read_filled(row, output)},
        ]
        if system is not None and (text := read_text(row, system)):
            turns.insert(0, {"role": "system", "content": text})
        return Conversation(tuple(turns), row.file, row.line)

    optional = [each for each in (more, system) if each]
    return RowReader((instruction, output, *optional), read)


def _read_filled(row: FileRow, wanted: Wanted) -> str:
    text = read_text(row, wanted)
    if not text.strip():
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` is empty: fill it, or remove the row"
        )
    return text


def recognise(values: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The fields of a row that has all three parts, and no earlier turns that would be lost."""
    if not all(isinstance(values.get(name), str) for name in _PARTS) or values.get("history"):
        return None
    has_system = isinstance(values.get("system"), str)
    return {name: name for name in (*_PARTS, *(["system"] if has_system else []))}
