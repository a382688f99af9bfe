"""Read the records of a source from files or the hub.

Readers are generators: a corpus never has to fit into memory. Each record knows its file and line,
so that every complaint can name them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixwise.data.chat_template import ChatTemplate
from mixwise.data.formats import format_of, read_lines
from mixwise.data.image_rows import read_image_rows
from mixwise.data.matching import resolve_files
from mixwise.data.rows import read_hub, read_rows
from mixwise.data.weighting import interleave
from mixwise.errors import DataError, printable
from mixwise.recipe import TextSource
from mixwise.records.record import Document
from mixwise.records.row import FileRow, Wanted, pick
from mixwise.records.text import TextFields

_LONG_DOCUMENT = 4  # a plain-text document is cut at any line end after 4 × `document_characters`


def read_records(
    source: TextSource, folder: Path, key: str, chat: ChatTemplate | None = None
) -> Iterator[Any]:
    """Read the records of a source in their order.

    Args:
        source: Files or a dataset of the hub, what their rows are, and where the parts stand.
        folder: Folder that relative paths start from.
        key: Key path of the source in the recipe, for error texts.
        chat: Makes documents of conversations; a source of other records needs none.

    Yields:
        Records of the type that the format gives; empty ones are passed on, so that the caller can
        count them.

    Raises:
        DataError: If a file is missing, empty, broken or of an unknown format, or a row lacks a
            field or breaks a rule of the record format.
        MissingDependencyError: If Parquet or the hub is asked for without its package.
    """
    if source.weights:
        yield from interleave(
            [read_records(each, folder, key, chat) for each in _apart(source, folder, key)],
            [source.weights[pattern] for pattern in source.files],
        )
        return
    for record in _read_records(source, folder, key):
        if source.record_format.is_chat:
            assert chat is not None  # `Inputs` opens it for such sources
            yield chat.render(record, source.learned)
        elif source.learn == "all":
            yield replace(record, supervised=None)
        else:
            yield record


def _apart(source: TextSource, folder: Path, key: str) -> list[TextSource]:
    """The entries of ``files`` that have weights, each a source of its own.

    Raises:
        DataError: If two entries name the same file.
    """
    found: dict[Path, str] = {}
    for pattern in source.files:
        for path in resolve_files((pattern,), folder, f"{key}.files", source.format):
            if found.setdefault(path.resolve(), pattern) != pattern:
                raise DataError(
                    f"`{key}.weights`: {printable(str(path))} is of two entries, "
                    f"`{printable(found[path.resolve()], 80)}` and `{printable(pattern, 80)}`: "
                    "change one"
                )
    return [
        source.model_copy(update={"files": (pattern,), "weights": {}}) for pattern in source.files
    ]


def _read_records(source: TextSource, folder: Path, key: str) -> Iterator[Any]:
    """The records of a source as its rows hold them."""
    reader = source.record_format.reader(source.parts, key)
    conditions = _conditions(source, key)
    wanted = (*reader.wanted, *(each for each, _ in conditions))

    def read(rows: Iterator[FileRow]) -> Iterator[Any]:
        return (reader.read(row) for row in _fitting(rows, conditions))

    if source.record_format.is_image:
        yield from read(read_image_rows(source, folder, key, wanted))
        return
    if source.hub is not None:
        yield from read(read_hub(source.hub, key, wanted))
        return
    for path in resolve_files(source.files, folder, f"{key}.files", source.format):
        kind = format_of(path, source.format)
        if kind != "text":
            yield from read(read_rows(path, kind, wanted))
        elif source.where:
            raise DataError(
                f"{printable(str(path))}: plain text has no fields, which `{key}.where` needs: "
                "give JSONL or Parquet, or leave it out"
            )
        elif source.record_format.fields is TextFields:
            yield from _read_text(path, source.document_characters)
        else:
            raise DataError(
                f"{printable(str(path))}: plain text, but {source.record_format.name} records "
                f"stand in rows: give JSONL or Parquet, or set `{key}.format`"
            )


def read_column(source: TextSource, folder: Path, key: str, column: Wanted) -> Iterator[FileRow]:
    """The rows of a source that ``where`` takes, of which one field alone is asked for.

    Raises:
        DataError: If a file is missing, broken or plain text, or a table lacks the field.
        MissingDependencyError: If Parquet or the hub is asked for without its package.
    """
    conditions = _conditions(source, key)
    wanted = (column, *(each for each, _ in conditions))
    if source.record_format.is_image:
        yield from _fitting(read_image_rows(source, folder, key, wanted), conditions)
        return
    if source.hub is not None:
        yield from _fitting(read_hub(source.hub, key, wanted), conditions)
        return
    for path in resolve_files(source.files, folder, f"{key}.files", source.format):
        kind = format_of(path, source.format)
        if kind == "text":
            raise DataError(
                f"{printable(str(path))}: plain text has no fields, which `{column.key}` needs: "
                "give JSONL or Parquet"
            )
        yield from _fitting(read_rows(path, kind, wanted), conditions)


_Condition = tuple[Wanted, bool | int | str]


def _conditions(source: TextSource, key: str) -> list[_Condition]:
    return [(Wanted(name, f"{key}.where"), value) for name, value in source.where.items()]


def _fitting(rows: Iterator[FileRow], conditions: Sequence[_Condition]) -> Iterator[FileRow]:
    for row in rows:
        if all(_is(pick(row, each), value) for each, value in conditions):
            yield row


def _is(value: Any, wanted: str | int) -> bool:
    """Whether a field has a value; tables hold numbers as texts, and truth is no number."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted or (isinstance(value, str) and value == str(wanted)))


def read_documents(
    source: TextSource, folder: Path, key: str, chat: ChatTemplate | None = None
) -> Iterator[Document]:
    """The records of a source whose format gives documents; see `read_records`.

    Raises:
        DataError: Also if the format says that all is learned, and a document that it is not.
    """
    row_format = source.record_format
    for document in read_records(source, folder, key, chat):
        if document.supervised is not None and not row_format.is_partly_supervised:
            raise DataError(
                f"{printable(document.file)}:{document.line}: the format `{row_format.name}` gives "
                "spans that are learned, which would be passed over: register it with "
                "`is_partly_supervised=True`"
            )
        yield document


def _read_text(path: Path, document_characters: int) -> Iterator[Document]:
    """Cut plain text into documents: at the first blank line after so many characters.

    Where blank lines are rare, a document also ends at the first line end after four times as many.
    """
    gathered: list[str] = []
    size, start = 0, 1
    for number, line in read_lines(path):
        if not gathered:
            start = number
        gathered.append(line)
        size += len(line)
        blank = not line.strip()
        if size >= document_characters * (1 if blank else _LONG_DOCUMENT):
            yield Document("".join(gathered), str(path), start)
            gathered, size = [], 0
    if gathered:
        yield Document("".join(gathered), str(path), start)
