"""Recognise what the rows of a data file are: records of some format, or what has no way in yet."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mixwise.data.formats import format_of
from mixwise.data.rows import read_rows
from mixwise.errors import DataError, printable
from mixwise.records.formats import FORMATS, RecordFormat
from mixwise.records.text import likely_texts

_UNREAD = {
    "messages": "chat rows (`messages`)",
    "conversations": "chat rows (`conversations`)",
    "conversation": "chat rows (`conversation`)",
    "chosen": "pairs of preferences (`chosen`, `rejected`)",
}
_ALPACA = ("instruction", "input", "output")


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file's rows are.

    Args:
        records: Name of the record format; empty where it is none that mixwise reads.
        fields: Where the parts of a record stand.
        problem: Why the file is none of them; empty where it is one.
    """

    records: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def recognise(path: Path) -> Recognised:
    """Look at the first row of a data file.

    Raises:
        DataError: If it cannot be read, or holds no row.
        MissingDependencyError: If the package that reads it is missing.
    """
    kind = format_of(path)
    if kind == "text":
        return Recognised("text", {"text": "text"})
    row = next(itertools.islice(read_rows(path, kind, []), 1), None)
    if row is None:
        raise DataError(f"{printable(str(path))}: holds no row: fill it or remove it")
    values = row.values
    if isinstance(values.get("text"), str):
        return Recognised("text", {"text": "text"})
    for name, what in _UNREAD.items():
        if name in values:
            return Recognised(problem=f"{what} are not supported yet")
    for row_format in sorted(FORMATS.values(), key=_is_text):  # a text is what is nothing else
        fields = row_format.recognise(values) if row_format.recognise else None
        if fields is not None:
            return Recognised(row_format.name, fields)
    if all(isinstance(values.get(name), str) for name in _ALPACA):
        return Recognised(
            problem="rows of `instruction`, `input` and `output` are not supported yet: join the "
            "first two in one field"
        )
    likely = likely_texts(values)
    listed = ", ".join(f"`{printable(name, 40)}`" for name in (likely or list(values))[:8])
    count = "several fields" if likely else "no field"
    return Recognised(problem=f"{count} may be the text ({listed}): name one by `field`")


def _is_text(row: RecordFormat) -> bool:
    return row.name == "text"
