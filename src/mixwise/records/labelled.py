"""Records of one text and its label, for classification."""

from __future__ import annotations

from typing import Any

from mixwise.errors import DataError, printable
from mixwise.records.record import Document
from mixwise.records.row import FileRow, RowReader, Wanted, pick
from mixwise.records.text import read_text
from mixwise.section import Section


class LabelledFields(Section):
    """Where the parts of a row stand; dots lead into nested objects."""

    text: str = "text"
    label: str = "label"


def reader(fields: LabelledFields, key: str) -> RowReader:
    """Reads a text and its label: a name, or a number that is one."""
    text, label = (
        Wanted(fields.text, f"{key}.fields.text"),
        Wanted(fields.label, f"{key}.fields.label"),
    )

    def read(row: FileRow) -> Document:
        found = read_label(row, label)
        return Document(read_text(row, text), row.file, row.line, label=found)

    return RowReader((text, label), read)


def read_label(row: FileRow, wanted: Wanted) -> str:
    """The label of a row: a name, or a number that is one.

    Raises:
        DataError: If it is neither.
    """
    value: Any = pick(row, wanted)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` must be the name or number of a "
            f"label, but got {printable(repr(value), 80)}: correct it, or name another field "
            f"in `{wanted.key}`"
        )
    return str(value)
