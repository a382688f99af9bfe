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
from mixwise.data.hub import read_hub
from mixwise.data.image_rows import read_image_rows
from mixwise.data.matching import file_patterns, image_folders, resolve_files
from mixwise.data.rows import read_rows
from mixwise.errors import DataError, printable
from mixwise.recipe import Portion, TextSource, portions
from mixwise.records.formats import RecordFormat
from mixwise.records.labelled import LabelledFields
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
    for reader in open_portions(source, folder, key, chat):
        yield from reader


def open_portions(
    source: TextSource, folder: Path, key: str, chat: ChatTemplate | None = None
) -> list[Iterator[Any]]:
    """The records of each of the sources that a domain or set is made of; see `read_records`.

    Raises:
        DataError: Also if two of several sources are the same rows, or one of them has none.
    """
    found = portions(source, key)
    if len(found) == 1:
        return [_read_portion(found[0], folder, chat)]
    _require_apart(found, folder)
    return [_require_some(_read_portion(each, folder, chat), each) for each in found]


def _read_portion(portion: Portion, folder: Path, chat: ChatTemplate | None) -> Iterator[Any]:
    for record in _read_records(portion.source, folder, portion.key):
        yield as_document(record, portion.source, chat)


def as_document(record: Any, source: TextSource, chat: ChatTemplate | None) -> Any:
    """A record as it is learned: conversations rendered, and all of it where all is learned.

    Args:
        record: As its format reads it.
        source: Where it comes from.
        chat: Makes documents of conversations.
    """
    if source.record_format.is_chat:
        assert chat is not None  # `Inputs` opens it for such sources
        return chat.render(record, source.learned)
    return replace(record, supervised=None) if source.learn == "all" else record


def _require_apart(found: Sequence[Portion], folder: Path) -> None:
    """Refuse two sources that read the same file, or dataset, in the same way."""
    names: dict[tuple[str, str], str] = {}
    for portion in found:
        source, key = portion.source, portion.key
        how = source.model_dump_json(exclude={"files", "weight", "weights", "sources"})
        patterns = file_patterns(source, folder)
        files = resolve_files(patterns, folder, f"{key}.files", source.format) if patterns else ()
        places = [str(path.resolve()) for path in (*files, *image_folders(source, folder))]
        for place in places or [""]:
            other = names.setdefault((place, how), portion.name)
            if other != portion.name:
                raise DataError(
                    f"`{key}`: {printable(place) or 'a dataset'} is read twice in the same way, by "
                    f"`{printable(other, 80)}` and `{printable(portion.name, 80)}`: change one"
                )


def _require_some(documents: Iterator[Document], portion: Portion) -> Iterator[Document]:
    """Pass documents on; one of several sources must not be without any in silence."""
    is_any = False
    for document in documents:
        is_any = is_any or not document.is_empty
        yield document
    if not is_any:
        raise no_documents(portion)


def no_documents(portion: Portion, name: str = "the source") -> DataError:
    """That a source holds no text, and why that may be."""
    where = portion.source.where
    if not where:
        return DataError(f"`{portion.key}`: {name} holds no text: every document is empty")
    wanted = ", ".join(f"{field}: {value}" for field, value in where.items())
    return DataError(
        f"`{portion.key}.where`: no row has {printable(wanted)}, or all that have it are empty: "
        "correct it"
    )


def _read_records(source: TextSource, folder: Path, key: str) -> Iterator[Any]:
    """The records of a source as its rows hold them."""
    reader = source.record_format.reader(source.parts, key)
    conditions = conditions_of(source, key)
    wanted = (*reader.wanted, *(each for each, _ in conditions))

    def read(rows: Iterator[FileRow]) -> Iterator[Any]:
        return (reader.read(row) for row in rows_that_fit(rows, conditions))

    if source.record_format.is_image:
        yield from read(read_image_rows(source, folder, key, wanted))
        return
    if source.hub is not None:
        yield from read(read_hub(source.hub, key, wanted, named=_label_column(source)))
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
            yield from read_text_documents(path, source.document_characters)
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
    conditions = conditions_of(source, key)
    wanted = (column, *(each for each, _ in conditions))
    if source.record_format.is_image:
        yield from rows_that_fit(read_image_rows(source, folder, key, wanted), conditions)
        return
    if source.hub is not None:
        rows = read_hub(source.hub, key, wanted, named=_label_column(source))
        yield from rows_that_fit(rows, conditions)
        return
    for path in resolve_files(source.files, folder, f"{key}.files", source.format):
        kind = format_of(path, source.format)
        if kind == "text":
            raise DataError(
                f"{printable(str(path))}: plain text has no fields, which `{column.key}` needs: "
                "give JSONL or Parquet"
            )
        yield from rows_that_fit(read_rows(path, kind, wanted), conditions)


def _label_column(source: TextSource) -> str | None:
    """The field of the labels; None of records that have none."""
    return source.parts.label if isinstance(source.parts, LabelledFields) else None


_Condition = tuple[Wanted, bool | int | str]


def conditions_of(source: TextSource, key: str) -> list[_Condition]:
    """What ``where`` asks of a row: fields, and the values that they must have."""
    return [(Wanted(name, f"{key}.where"), value) for name, value in source.where.items()]


def rows_that_fit(rows: Iterator[FileRow], conditions: Sequence[_Condition]) -> Iterator[FileRow]:
    """The rows that have these values."""
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
    """The records of a source whose format gives documents, whatever weights it has.

    Raises:
        DataError: See `open_documents`.
    """
    for reader in open_documents(source, folder, key, chat):
        yield from reader


def open_documents(
    source: TextSource, folder: Path, key: str, chat: ChatTemplate | None = None
) -> list[Iterator[Document]]:
    """The documents of each of the sources of a domain or set; see `open_portions`.

    Raises:
        DataError: Also if a format says that all is learned, and a document that it is not.
    """
    readers = open_portions(source, folder, key, chat)
    formats = [portion.source.record_format for portion in portions(source, key)]
    return [_checked(each, row) for each, row in zip(readers, formats, strict=True)]


def _checked(documents: Iterator[Document], row_format: RecordFormat) -> Iterator[Document]:
    for document in documents:
        if document.supervised is not None and not row_format.is_partly_supervised:
            raise DataError(
                f"{printable(document.file)}:{document.line}: the format `{row_format.name}` gives "
                "spans that are learned, which would be passed over: register it with "
                "`is_partly_supervised=True`"
            )
        yield document


def read_text_documents(path: Path, document_characters: int) -> Iterator[Document]:
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
