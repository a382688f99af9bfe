"""One row of a file, and how a part of a record is found in it.

A field may be a path of names joined by dots; where a name itself holds the dots, that is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mixwise.errors import DataError, nearest, printable


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row: its fields by name, and where it stands; line 0 is that of a whole file."""

    values: Mapping[str, Any]
    file: str
    line: int

    @property
    def place(self) -> str:
        """``file:line``, or the file alone, fit for an error text."""
        return f"{printable(self.file)}:{self.line}" if self.line else printable(self.file)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A field that is read, and the recipe's key that names it."""

    field: str
    key: str


@dataclass(frozen=True, slots=True)
class RowReader:
    """Makes records of rows.

    Args:
        wanted: The fields that it asks for.
        read: A row in, a record out; raises DataError that names the row.
    """

    wanted: tuple[Wanted, ...]
    read: Callable[[FileRow], Any]


def pick(row: FileRow, wanted: Wanted) -> Any:
    """The value of a field; below a list, the list of the values of its members.

    Raises:
        DataError: If it is missing.
    """
    return _pick(row.values, wanted.field, row, wanted)


def _pick(values: Any, field: str, row: FileRow, wanted: Wanted) -> Any:
    if isinstance(values, list) and values:
        return [_pick(value, field, row, wanted) for value in values]
    if isinstance(values, Mapping):
        if field in values:
            return values[field]
        for name in path_heads(field):
            if name in values:
                return _pick(values[name], field[len(name) + 1 :], row, wanted)
    names = values if isinstance(values, Mapping) else {}
    raise missing_field(row.place, wanted, names)


def path_heads(field: str) -> Iterator[str]:
    """The beginnings of a path that may be a name, the longest first."""
    parts = field.split(".")
    return (".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))


def missing_field(place: str, wanted: Wanted, names: Iterable[str]) -> DataError:
    """The error of a row or table that lacks a field; suggests one that it has."""
    return DataError(
        f"{place}: the field `{printable(wanted.field, 80)}` is missing (`{wanted.key}`): "
        f"{nearest(wanted.field, names)}"
    )


def require_unicode(text: str, row: FileRow, wanted: Wanted) -> None:
    """Refuse a text that UTF-8 cannot hold.

    Raises:
        DataError: Names the row and the field.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` is no valid Unicode ({error.reason}): "
            "repair the text"
        ) from None
