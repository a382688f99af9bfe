"""Read rows from JSON lines, JSON arrays, tables or columnar files: the fields asked for.

Readers are generators: a corpus never has to fit into memory. A row knows its file and its place,
counted from 1: the line (JSON lines, CSV), the row (Parquet, Arrow) or the entry (JSON
arrays). Fields that nobody asked for are not converted where the format allows it (all but JSON).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mixwise.data.columnar import chosen_columns, read_arrow, read_parquet
from mixwise.data.formats import LONGEST_LINE, Format, read_lines
from mixwise.errors import DataError, printable
from mixwise.records.row import FileRow, Wanted


def read_rows(path: Path, kind: Format, wanted: Sequence[Wanted]) -> Iterator[FileRow]:
    """Rows of one file.

    Args:
        path: The file.
        kind: Its format; not ``text``.
        wanted: The fields that will be asked for; a table that lacks one is refused at once.

    Raises:
        DataError: If the file is broken; names its line or row.
        MissingDependencyError: If it is Parquet or Arrow, and their package is missing.
    """
    if kind == "parquet":
        return read_parquet(path, wanted)
    if kind == "arrow":
        return read_arrow(path, wanted)
    if kind in ("csv", "tsv"):
        return _read_csv(path, "," if kind == "csv" else "\t", wanted)
    return _read_json(path) if kind == "json" else _read_jsonl(path)


def _read_jsonl(path: Path) -> Iterator[FileRow]:
    place = printable(str(path))
    for number, line in read_lines(path):
        if line.strip():
            yield FileRow(_parse_object(line, f"{place}:{number}"), str(path), number)


def _parse_object(line: str, place: str) -> dict[str, Any]:
    try:
        values = json.loads(line, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
        raise DataError(f"{place}: broken JSON ({reason}): repair or remove the line") from None
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{place}: JSON that cannot be read ({printable(str(error))}): remove the line"
        ) from None
    return _require_object(values, place)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of a key that stands twice, the first would be lost in silence."""
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        for twice, _ in pairs:
            if twice in seen:
                break
            seen.add(twice)
        raise ValueError(f"the key `{printable(twice, 80)}` stands twice in one object")
    return values


def _require_object(values: Any, place: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise DataError(
            f"{place}: a line must hold a JSON object, but got {type(values).__name__}: write one "
            "object per line"
        )
    return values


def _read_json(path: Path) -> Iterator[FileRow]:
    """JSON lines, or one array of objects, which is held in memory whole."""
    first = next((line for _, line in read_lines(path) if line.strip()), "")
    if not first.lstrip().startswith("["):
        yield from _read_jsonl(path)
        return
    place = printable(str(path))
    for number, values in enumerate(_parse_array(path, place), start=1):
        yield FileRow(_require_object(values, f"{place}:{number}"), str(path), number)


def _parse_array(path: Path, place: str) -> list[Any]:
    lines, size = [], 0
    for _, line in read_lines(path):
        lines.append(line)
        size += len(line)
        if size > LONGEST_LINE:
            raise DataError(
                f"{place}: an array of more than {LONGEST_LINE:,} characters: write it as JSON "
                "lines, which are read one by one"
            )
    try:
        values = json.loads("".join(lines), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{place}:{error.lineno}: broken JSON ({error.msg} at column {error.colno}): repair "
            "the array, or write one object per line"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{place}: JSON that cannot be read ({printable(str(error))}): repair the array"
        ) from None
    return list(values)


def _read_csv(path: Path, delimiter: str, wanted: Sequence[Wanted]) -> Iterator[FileRow]:
    """Rows of a table whose first line names the columns; every value is a text."""
    place = printable(str(path))
    csv.field_size_limit(LONGEST_LINE)
    lines = (line for _, line in read_lines(path))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        columns = [
            (column, header.index(column)) for column in chosen_columns(wanted, header, place)
        ]
        if twice := next((name for name, _ in columns if name and header.count(name) > 1), None):
            raise DataError(
                f"{place}:1: two columns are named `{printable(twice, 80)}`: rename one of them"
            )
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise DataError(
                    f"{place}:{line}: the row has {len(cells)} cells, but the first line names "
                    f"{len(header)} columns: repair the row, or quote its cells"
                )
            if cells:
                yield FileRow({name: cells[i] for name, i in columns}, str(path), line)
            line = reader.line_num + 1
    except csv.Error as error:
        why = printable(str(error))
        raise DataError(
            f"{place}:{reader.line_num}: a broken table ({why}): repair the line, or quote "
            "its cells"
        ) from None
