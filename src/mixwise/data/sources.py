"""Read documents and multiple-choice rows from files or the hub.

Readers are generators: a corpus never has to fit into memory. Each document knows its file and
line, so that every complaint can name them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.data.formats import format_of, read_lines
from mixwise.data.matching import resolve_files
from mixwise.data.rows import FileRow, Wanted, pick, read_hub, read_rows
from mixwise.errors import DataError, printable, shown
from mixwise.recipe import EvaluationSource, TextSource

_LONG_DOCUMENT = 4  # a plain-text document is cut at any line end after 4 × `document_characters`
_LONGEST_CHOICE = 10**6  # characters of a prompt or a choice, which is tokenised whole


@dataclass(frozen=True, slots=True)
class Document:
    """One text and where it stands: file and line (or row), counted from 1."""

    text: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """One multiple-choice question.

    Args:
        prompt: What stands before every choice.
        choices: At least two continuations.
        answer: Index of the right one.
        place: ``file:line``.
    """

    prompt: str
    choices: tuple[str, ...]
    answer: int
    place: str


def read_documents(source: TextSource, folder: Path, key: str) -> Iterator[Document]:
    """Read the documents of a source in their order.

    Args:
        source: Files or a dataset of the hub, and the field that holds the text.
        folder: Folder that relative paths start from.
        key: Key path of the source in the recipe, for error texts.

    Yields:
        Documents; texts of white space alone are passed on, so that the caller can count them.

    Raises:
        DataError: If a file is missing, empty, broken, of an unknown format or lacks the field, or
            a text is no string.
        MissingDependencyError: If Parquet or the hub is asked for without its package.
    """
    wanted = Wanted(source.field, f"{key}.field")
    if source.hub is not None:
        for row in read_hub(source.hub, key, [wanted]):
            yield _document(row, wanted)
        return
    for path in resolve_files(source.files, folder, f"{key}.files", source.format):
        kind = format_of(path, source.format)
        if kind == "text":
            yield from _read_text(path, source.document_characters)
        else:
            for row in read_rows(path, kind, [wanted]):
                yield _document(row, wanted)


def read_choices(source: EvaluationSource, folder: Path, key: str) -> Iterator[ChoiceRow]:
    """Read multiple-choice rows by the fields that the set names.

    Raises:
        DataError: As `read_documents`, and if a row breaks the rules of `ChoiceFields`.
    """
    fields = source.fields
    several = fields.choices if isinstance(fields.choices, tuple) else (fields.choices,)
    prompt, answer = (
        Wanted(name, f"{key}.fields.{part}")
        for name, part in ((fields.prompt, "prompt"), (fields.answer, "answer"))
    )
    choices = [Wanted(name, f"{key}.fields.choices") for name in several]
    labels = Wanted(fields.labels, f"{key}.fields.labels") if fields.labels else None
    wanted = [prompt, *choices, answer, *([labels] if labels else [])]
    for row in _rows(source, folder, key, wanted):
        texts = _texts(row, choices)
        yield ChoiceRow(
            _prompt(row, prompt),
            tuple(fields.separator + text for text in texts),
            _answer(row, answer, labels, len(texts)),
            row.place,
        )


def _rows(
    source: EvaluationSource, folder: Path, key: str, wanted: list[Wanted]
) -> Iterator[FileRow]:
    if source.hub is not None:
        yield from read_hub(source.hub, key, wanted)
        return
    for path in resolve_files(source.files, folder, f"{key}.files", source.format):
        kind = format_of(path, source.format)
        if kind == "text":
            raise DataError(
                f"{printable(str(path))}: plain text, but a choice set needs rows: give JSONL or "
                f"Parquet, or set `{key}.format`"
            )
        yield from read_rows(path, kind, wanted)


def _prompt(row: FileRow, wanted: Wanted) -> str:
    prompt = pick(row, wanted)
    if not isinstance(prompt, str) or not prompt:
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` must be a non-empty text, but got "
            f"{shown(prompt)}: repair the row, or name another field in `{wanted.key}`"
        )
    _require_text(prompt, row, wanted)
    return prompt


def _texts(row: FileRow, wanted: list[Wanted]) -> list[str]:
    """The choices: the members of one field, or one field each."""
    values = [pick(row, each) for each in wanted]
    texts: Any = values[0] if len(wanted) == 1 else values
    names = ", ".join(printable(each.field, 80) for each in wanted)
    if (
        not isinstance(texts, list)
        or len(texts) < 2
        or not all(isinstance(text, str) and text for text in texts)
    ):
        raise DataError(
            f"{row.place}: `{names}` must be two or more non-empty texts, but got {shown(texts)}: "
            f"repair the row, or name another field in `{wanted[0].key}`"
        )
    for text in texts:
        _require_text(text, row, wanted[0])
    return list(texts)


def _answer(row: FileRow, wanted: Wanted, labels: Wanted | None, n_choices: int) -> int:
    """Index of the right choice: by its label, or as a number or its digits."""
    answer = pick(row, wanted)
    name = printable(wanted.field, 80)
    if labels is not None:
        known = pick(row, labels)
        if not isinstance(known, list) or len(known) != n_choices or known.count(answer) != 1:
            raise DataError(
                f"{row.place}: `{name}` must be one of the {n_choices} labels in "
                f"`{printable(labels.field, 80)}`, but got {shown(answer)} and {shown(known)}: "
                f"repair the row, or name other fields in `{wanted.key}` and `{labels.key}`"
            )
        return known.index(answer)
    index = answer
    if isinstance(answer, str) and answer.isascii() and answer.isdigit() and len(answer) < 5:
        index = int(answer)
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < n_choices:
        raise DataError(
            f"{row.place}: `{name}` must be the index of a choice, from 0 to {n_choices - 1}, but "
            f"got {shown(answer)}: repair the row, name another field in `{wanted.key}`, or name "
            "the field of the choices' labels in `fields.labels`"
        )
    return index


def _document(row: FileRow, wanted: Wanted) -> Document:
    text = pick(row, wanted)
    if not isinstance(text, str):
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` must be a text, but got "
            f"{type(text).__name__}: name another field in `{wanted.key}`"
        )
    _require_unicode(text, row, wanted)
    return Document(text, row.file, row.line)


def _require_text(text: str, row: FileRow, wanted: Wanted) -> None:
    if len(text) > _LONGEST_CHOICE:
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` has {len(text):,} characters, more than "
            f"{_LONGEST_CHOICE:,}: shorten it"
        )
    _require_unicode(text, row, wanted)


def _require_unicode(text: str, row: FileRow, wanted: Wanted) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` is no valid Unicode ({error.reason}): "
            "repair the text"
        ) from None


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
