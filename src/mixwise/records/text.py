"""Records of one text, all of which is learned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mixwise.errors import DataError, printable
from mixwise.records.record import Document
from mixwise.records.row import FileRow, RowReader, Wanted, pick, require_unicode
from mixwise.section import Section

_KNOWN = ("text", "content", "raw_content", "body", "document", "article")
_ABOUT = re.compile(  # fields of text that are about a row, not the row's own text
    r"(.*_)?(id|uuid|guid|url|uri|source|title|name|lang|language|licen[cs]e|path|file|filename|repo"
    r"|date|timestamp|created|added|author|domain|category|subset|split|hash|meta|metadata)"
)


class TextFields(Section):
    """Where the text of a row stands; in a recipe, the key ``field``."""

    text: str = "text"


def reader(fields: TextFields, key: str) -> RowReader:
    """Reads the text of a row."""
    wanted = Wanted(fields.text, f"{key}.field")
    return RowReader((wanted,), lambda row: Document(read_text(row, wanted), row.file, row.line))


def read_text(row: FileRow, wanted: Wanted) -> str:
    """A text of a row, empty ones too.

    Raises:
        DataError: If it is no text.
    """
    text = pick(row, wanted)
    if not isinstance(text, str):
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` must be a text, but got "
            f"{type(text).__name__}: name another field in `{wanted.key}`"
        )
    require_unicode(text, row, wanted)
    return text


def recognise(values: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The field of a row that is its text: the one called so, or the only one that can be."""
    likely = likely_texts(values)
    return {"text": likely[0]} if len(likely) == 1 else None


def likely_texts(values: Mapping[str, Any]) -> list[str]:
    """The fields of a row that may be its text."""
    texts = [name for name, value in values.items() if isinstance(value, str)]
    known = [name for name in _KNOWN if name in texts]
    return known[:1] or [name for name in texts if not _ABOUT.fullmatch(name.lower())]
