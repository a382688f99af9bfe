"""Recognise what the rows of a data file are: records of some format, or of none, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixwise.data.formats import format_of
from mixwise.data.hub import read_hub
from mixwise.data.matching import resolve_files
from mixwise.data.rows import read_rows
from mixwise.errors import DataError, RecipeError, first_line, printable
from mixwise.recipe import TextSource
from mixwise.records.formats import FORMATS
from mixwise.records.record import Document
from mixwise.records.row import FileRow
from mixwise.records.text import likely_texts


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

    @property
    def named(self) -> tuple[str, ...]:
        """The fields of a row that it stands on."""
        return tuple(name for part, name in self.fields.items() if part != "separator")


def recognise(path: Path) -> Recognised:
    """Look at the first row of a data file.

    Raises:
        DataError: If it cannot be read, or holds no row.
        MissingDependencyError: If the package that reads it is missing.
    """
    kind = format_of(path)
    if kind == "text":
        return Recognised("text", {"text": "text"})
    row = next(read_rows(path, kind, []), None)
    if row is None:
        raise DataError(f"{printable(str(path))}: holds no row: fill it or remove it")
    return recognise_row(row.values)


def recognise_row(values: Mapping[str, Any]) -> Recognised:
    """Tell by the fields of a row, and the kind of their values, what it is.

    A text beside a conversation may be the same in other words, or be about it: what fits two
    formats is named in the recipe.
    """
    fitting = list(_fitting(values))
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        options = " or ".join(
            f"{each.records} ({', '.join(f'`{name}`' for name in each.named)})" for each in fitting
        )
        return Recognised(problem=f"the rows may be {options}: name one by `records`")
    if "text" in values:
        return Recognised(problem="`text` is no text in the first row: repair it, or set `field`")
    likely = likely_texts(values)
    listed = ", ".join(f"`{printable(name, 40)}`" for name in (likely or list(values))[:8])
    count = "several fields" if likely else "no field"
    return Recognised(problem=f"{count} may be the text ({listed}): name one by `field`")


def _fitting(values: Mapping[str, Any]) -> Iterator[Recognised]:
    """The conversations that a row may be, and the first of the other formats that reads it."""
    found = [
        Recognised(row.name, fields)
        for row in FORMATS.values()
        if row.recognise and (fields := row.recognise(values)) is not None
    ]
    chats = [each for each in found if FORMATS.find(each.records).is_chat]
    yield from chats
    if "text" in values:  # where it holds none in this row, another field is not the text either
        if isinstance(values["text"], str):
            yield Recognised("text", {"text": "text"})
        return
    others = [each for each in found if each not in chats]
    records = [each for each in others if each.records != "text"]
    yield from (records or ([] if chats else others))[:1]  # a text is what is nothing else


def recognise_source(source: TextSource, folder: Path, key: str) -> TextSource:
    """The source with its record format, told by its first row where the recipe does not name it.

    Args:
        source: Files or a dataset of the hub.
        folder: Folder that relative paths start from.
        key: Key path of the source in the recipe, for error texts.

    Returns:
        The source itself where the recipe names a format or a field, where it is plain text, and
        where nothing is recognised, so that what is wrong is told by the row that lacks a field.

    Raises:
        DataError: If its first row may be read in two ways, or its files cannot be read.
        RecipeError: If ``learn`` does not fit what was recognised.
    """
    if source.names_records or source.record_format.gives is not Document:
        return source
    row = _first_row(source, folder, key)
    found = Recognised() if row is None else recognise_row(row.values)
    if row is not None and found.problem.endswith("`records`"):
        raise DataError(f"{row.place}: {found.problem.removesuffix('`')}` in `{key}`")
    if not found.records or FORMATS.find(found.records).gives is not Document:
        return source
    try:
        return source.read_as(found.records, found.fields)
    except ValueError as error:
        raise RecipeError(f"`{key}`: {first_line(error)}") from None


def _first_row(source: TextSource, folder: Path, key: str) -> FileRow | None:
    """The first row of a source; None for plain text and for no row at all."""
    if source.hub is not None:
        return next(read_hub(source.hub, key, []), None)
    path = resolve_files(source.files, folder, f"{key}.files", source.format)[0]
    kind = format_of(path, source.format)
    return None if kind == "text" else next(read_rows(path, kind, []), None)
