"""The rows of a source as they stand in the user's files, each beside the record read of it.

Whoever copies rows needs all of their columns, where training needs the text alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.data.chat_template import ChatTemplate
from mixwise.data.formats import format_of
from mixwise.data.hub import read_hub
from mixwise.data.matching import resolve_files
from mixwise.data.rows import read_rows
from mixwise.data.sources import as_document, conditions_of, read_text_documents, rows_that_fit
from mixwise.recipe import Portion
from mixwise.records.conversation import Conversation
from mixwise.records.record import Document
from mixwise.records.row import FileRow


@dataclass(frozen=True, slots=True)
class WholeRow:
    """One row.

    Args:
        values: All of its columns; of plain text, its ``text``.
        record: What its format reads of it.
        document: That as a model reads it.
    """

    values: Mapping[str, Any]
    record: Document | Conversation
    document: Document


def read_whole_rows(
    portion: Portion, folder: Path, chat: ChatTemplate | None
) -> Iterator[WholeRow]:
    """The rows of one source that ``where`` takes, in its order.

    Args:
        portion: The source; its format gives documents or conversations.
        folder: Folder that relative paths start from.
        chat: Makes documents of conversations; a source of other records needs none.

    Raises:
        DataError: If a file is missing, broken or of an unknown format, or a row breaks a rule of
            the record format.
    """
    source = portion.source
    reader = source.record_format.reader(source.parts, portion.key)
    for row in _rows(portion, folder):
        if isinstance(row, Document):
            yield WholeRow({"text": row.text}, row, row)
        else:
            record = reader.read(row)
            yield WholeRow(row.values, record, as_document(record, source, chat))


def _rows(portion: Portion, folder: Path) -> Iterator[FileRow | Document]:
    source, key = portion.source, portion.key
    conditions = conditions_of(source, key)
    if source.hub is not None:
        yield from rows_that_fit(read_hub(source.hub, key, ()), conditions)
        return
    for path in resolve_files(source.files, folder, f"{key}.files", source.format):
        kind = format_of(path, source.format)
        if kind == "text":
            yield from read_text_documents(path, source.document_characters)
        else:
            yield from rows_that_fit(read_rows(path, kind, ()), conditions)
