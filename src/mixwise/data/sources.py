"""Read documents and multiple-choice rows from JSONL, Parquet, plain text or the hub.

Readers are generators: a corpus never has to fit into memory. Each document knows its file and
line, so that every complaint can name them.
"""

from __future__ import annotations

import glob
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.errors import DataError, MissingDependencyError, first_line, nearest
from mixwise.recipe import HubDataset, TextSource

_JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
_LONG_DOCUMENT = 4  # a plain-text document is cut at any line end after 4 × `document_characters`


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


@dataclass(frozen=True, slots=True)
class _Row:
    values: dict[str, Any]
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def resolve_files(patterns: Iterable[str], folder: Path, key: str) -> tuple[Path, ...]:
    """Expand paths and globs relative to the recipe's folder.

    Args:
        patterns: Paths or globs (``**`` crosses folders).
        folder: Folder of the recipe.
        key: Key path of the patterns, for the error text.

    Returns:
        Existing files, sorted within each pattern, without repeats.

    Raises:
        DataError: If a pattern matches no file, or a file is empty.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = folder / expand_user(pattern)
        matches = [path] if path.is_file() else _expand(pattern, folder)
        if not matches:
            raise DataError(f"`{key}`: `{pattern}` matches no file in {folder}: correct the path")
        found.update(dict.fromkeys(matches))
    for path in found:
        if path.stat().st_size == 0:
            raise DataError(f"`{key}`: {path} is empty: remove it or fill it")
    return tuple(found)


def read_documents(source: TextSource, folder: Path, key: str) -> Iterator[Document]:
    """Read the documents of a source in their order.

    Args:
        source: Files or a dataset of the hub, and the field that holds the text.
        folder: Folder that relative paths start from.
        key: Key path of the source in the recipe, for error texts.

    Yields:
        Documents; texts of white space alone are passed on, so that the caller can count them.

    Raises:
        DataError: If a file is missing, empty, broken or lacks the field, or a text is no string.
        MissingDependencyError: If Parquet or the hub is asked for without its package.
    """
    if source.hub is not None:
        for row in _read_hub(source.hub, key):
            yield _document(row, source.field, key)
        return
    for path in resolve_files(source.files, folder, f"{key}.files"):
        kind = format_of(path) if source.format == "auto" else source.format
        if kind == "text":
            yield from _read_text(path, source.document_characters)
        else:
            for row in _ROW_READERS[kind](path):
                yield _document(row, source.field, key)


def read_choices(source: TextSource, folder: Path, key: str) -> Iterator[ChoiceRow]:
    """Read multiple-choice rows: ``prompt`` (text), ``choices`` (texts), ``answer`` (index).

    Raises:
        DataError: As `read_documents`, and if a row breaks those rules.
    """
    for row in _read_rows(source, folder, key):
        prompt, choices, answer = (
            _field(row, name, key) for name in ("prompt", "choices", "answer")
        )
        if not isinstance(prompt, str) or not prompt:
            raise DataError(f"{row.place}: `prompt` must be a non-empty text, but got {prompt!r}")
        texts = choices if isinstance(choices, list) else []
        if len(texts) < 2 or not all(isinstance(text, str) and text for text in texts):
            raise DataError(
                f"{row.place}: `choices` must be two or more non-empty texts, but got {choices!r}"
            )
        if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(texts):
            raise DataError(
                f"{row.place}: `answer` must be the index of a choice, from 0 to "
                f"{len(texts) - 1}, but got {answer!r}"
            )
        for text in (prompt, *texts):
            _require_unicode(text, row, "prompt` or `choices")
        yield ChoiceRow(prompt, tuple(texts), answer, row.place)


def expand_user(path: str) -> Path:
    """Expand ``~``; a user that does not exist is left as it is written."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _expand(pattern: str, folder: Path) -> list[Path]:
    """Files that a glob matches, sorted; the folder's own name is taken to the letter."""
    home_or_root = expand_user(pattern)
    full = (
        str(home_or_root)
        if home_or_root.is_absolute()
        else str(Path(glob.escape(str(folder))) / pattern)
    )
    return sorted(Path(match) for match in glob.glob(full, recursive=True) if Path(match).is_file())


def _read_rows(source: TextSource, folder: Path, key: str) -> Iterator[_Row]:
    if source.hub is not None:
        yield from _read_hub(source.hub, key)
        return
    for path in resolve_files(source.files, folder, f"{key}.files"):
        kind = format_of(path) if source.format == "auto" else source.format
        yield from _ROW_READERS["jsonl" if kind == "text" else kind](path)


def format_of(path: Path) -> str:
    """Format of a file by its name: ``jsonl``, ``parquet`` or ``text``."""
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in _JSON_SUFFIXES:
        return "jsonl"
    return "parquet" if suffix == ".parquet" else "text"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file, plain or gzip, numbered from 1; a byte order mark is no text."""
    number = 0
    try:
        open_bytes = gzip.open if path.name.lower().endswith(".gz") else Path.open
        with open_bytes(path, "rb") as file:
            for line in file:
                number += 1
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                yield number, text.replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}:{number}: not UTF-8 text ({error.reason}): convert the file to UTF-8"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be read after line {number} ({error}): replace the file"
        ) from None


def _read_jsonl(path: Path) -> Iterator[_Row]:
    for number, line in _lines(path):
        if line.strip():
            yield _Row(_parse_object(line, f"{path}:{number}"), str(path), number)


def _parse_object(line: str, place: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
        raise DataError(f"{place}: broken JSON ({reason}): repair or remove the line") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: JSON that cannot be read ({error}): remove the line") from None
    if not isinstance(values, dict):
        raise DataError(
            f"{place}: a line must hold a JSON object, but got {type(values).__name__}: write one "
            "object per line"
        )
    return values


def _read_parquet(path: Path) -> Iterator[_Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(
            f"{path}: Parquet needs the package `pyarrow`: pip install 'mixwise[parquet]'"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            number = 0
            for batch in table.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    number += 1
                    yield _Row(values, str(path), number)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: not a readable Parquet file ({reason}): replace it") from None


_ROW_READERS: dict[str, Callable[[Path], Iterator[_Row]]] = {
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
}


def _read_hub(hub: HubDataset, key: str) -> Iterator[_Row]:
    try:
        import datasets
    except ImportError:
        raise MissingDependencyError(
            f"`{key}.hub`: datasets of the hub need the package `datasets`: "
            "pip install 'mixwise[hub]'"
        ) from None
    try:
        rows = datasets.load_dataset(
            hub.dataset, hub.config, split=hub.split, revision=hub.revision
        )
        for number, values in enumerate(rows, start=1):
            yield _Row(dict(values), hub.dataset, number)
    except Exception as error:  # `datasets` raises errors of many libraries
        reason = first_line(error)
        raise DataError(
            f"`{key}.hub`: `{hub.dataset}` cannot be read ({reason}): check the name, "
            "config and split, and the network"
        ) from None


def guess_field(path: Path) -> str:
    """Name the field that most likely holds the text: ``text``, or the longest one of row one.

    Raises:
        DataError: If the first row cannot be read.
        MissingDependencyError: If it is Parquet and its package is missing.
    """
    kind = format_of(path)
    row = next(_ROW_READERS[kind](path), None) if kind in _ROW_READERS else None
    texts = {k: len(v) for k, v in row.values.items() if isinstance(v, str)} if row else {}
    return "text" if "text" in texts or not texts else max(texts, key=lambda name: texts[name])


def _field(row: _Row, field: str, key: str) -> Any:
    if field not in row.values:
        raise DataError(
            f"{row.place}: the field `{field}` is missing (`{key}.field`): "
            f"{nearest(field, row.values)}"
        )
    return row.values[field]


def _document(row: _Row, field: str, key: str) -> Document:
    text = _field(row, field, key)
    if not isinstance(text, str):
        raise DataError(
            f"{row.place}: `{field}` must be a text, but got {type(text).__name__}: "
            f"name another field in `{key}.field`"
        )
    _require_unicode(text, row, field)
    return Document(text, row.file, row.line)


def _require_unicode(text: str, row: _Row, field: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{row.place}: `{field}` is no valid Unicode ({error.reason}): repair the text"
        ) from None


def _read_text(path: Path, document_characters: int) -> Iterator[Document]:
    """Cut plain text into documents: at the first blank line after so many characters.

    Where blank lines are rare, a document also ends at the first line end after four times as many.
    """
    gathered: list[str] = []
    size, start = 0, 1
    for number, line in _lines(path):
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
