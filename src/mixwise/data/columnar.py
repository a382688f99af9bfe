"""Read rows of files that hold columns, Parquet and Arrow, a few hundred at a time.

Method:
    Columns that nobody asks for are not read; of Parquet, only the asked parts of nested ones are.
    Arrow files are streams, as `datasets` saves them, or have a footer, as Feather has. A stream
    whose end is not written was cut off, which its reader would take for the end. What the
    asked columns hold is validated before it is read: lengths that damage has changed would end
    the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixwise.errors import DataError, MissingDependencyError, first_line, printable
from mixwise.records.row import FileRow, Wanted, missing_field, path_heads

_ROWS = 256  # that are decoded together
_TEXTS = ("string", "large_string")
_FOOTED = b"ARROW1"
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def _column(wanted: Wanted, names: Sequence[str], place: str) -> str:
    """The column of a table that holds a field, or the column that its path begins with."""
    for name in (wanted.field, *path_heads(wanted.field)):
        if name in names:
            return name
    raise missing_field(place, wanted, names)


def chosen_columns(wanted: Sequence[Wanted], names: Sequence[str], place: str) -> list[str]:
    """The columns that are read, each once; a name that stands twice would be a guess."""
    found = list(dict.fromkeys(_column(each, names, place) for each in wanted))
    for name in found:
        if names.count(name) > 1:
            raise DataError(
                f"{place}: the column `{printable(name, 80)}` stands {names.count(name)} times: "
                "rename or remove one"
            )
    return found or list(names)


def read_parquet(path: Path, wanted: Sequence[Wanted]) -> Iterator[FileRow]:
    """Rows of a Parquet file; see `mixwise.data.rows.read_rows`."""
    place = printable(str(path))
    pyarrow = _pyarrow(place, "Parquet")
    with _damage_told(pyarrow, place, "Parquet"), pyarrow.parquet.ParquetFile(path) as table:
        names = chosen_columns(wanted, [str(n) for n in table.schema_arrow.names], place)
        asked = [each.field for each in wanted if each.field not in names]
        leaves = [str(table.schema.column(i).path) for i in range(len(table.schema))]
        nested = [f for f in asked if any(leaf == f or leaf.startswith(f + ".") for leaf in leaves)]
        whole = [name for name in names if not any(f.startswith(name + ".") for f in nested)]
        number = 0
        for batch in table.iter_batches(batch_size=_ROWS, columns=[*whole, *nested]):
            yield from _rows(batch, names, path, number)
            number += batch.num_rows


def read_arrow(path: Path, wanted: Sequence[Wanted]) -> Iterator[FileRow]:
    """Rows of an Arrow file, which is mapped; see `mixwise.data.rows.read_rows`."""
    place = printable(str(path))
    pyarrow = _pyarrow(place, "Arrow")
    with _damage_told(pyarrow, place, "Arrow"), pyarrow.memory_map(str(path)) as file:
        number = 0
        for batch in _batches(pyarrow, file):
            names = chosen_columns(wanted, [str(n) for n in batch.schema.names], place)
            for start in range(0, batch.num_rows, _ROWS):
                yield from _rows(batch.slice(start, _ROWS), names, path, number + start)
            number += batch.num_rows


@contextmanager
def _damage_told(pyarrow: Any, place: str, what: str) -> Iterator[None]:
    """What pyarrow raises about a damaged file, as an error that names the file."""
    try:
        yield
    except (pyarrow.ArrowException, OSError, UnicodeError) as error:
        raise DataError(
            f"{place}: not a readable {what} file ({printable(first_line(error))}): replace it"
        ) from None


def _pyarrow(place: str, what: str) -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(
            f"{place}: {what} needs the package `pyarrow`: pip install 'mixwise[parquet]'"
        ) from None
    return pyarrow


def _batches(pyarrow: Any, file: Any) -> Iterator[Any]:
    """The batches of an Arrow file of either kind."""
    beginning = file.read(len(_FOOTED))
    if beginning == _FOOTED:
        file.seek(0)
        reader = pyarrow.ipc.open_file(file)
        yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
        return
    if file.size() < len(_END_OF_STREAM):
        raise OSError("too short")
    file.seek(-len(_END_OF_STREAM), os.SEEK_END)
    if file.read() != _END_OF_STREAM:
        raise OSError("its end is missing")
    file.seek(0)
    yield from pyarrow.ipc.open_stream(file)


def _rows(batch: Any, names: Sequence[str], path: Path, done: int) -> Iterator[FileRow]:
    place = printable(str(path))
    columns = [(name, _values(batch.column(name), name, done, place)) for name in names]
    for i in range(batch.num_rows):
        yield FileRow({name: values[i] for name, values in columns}, str(path), done + i + 1)


def _values(column: Any, name: str, done: int, place: str) -> list[Any]:
    """A column as Python values; where that fails, the row that it fails for is named."""
    _require_lengths(column)
    try:
        values: list[Any] = column.to_pylist()
        return values
    except Exception:  # whatever a type of Arrow raises; the row is looked for below
        for number, value in enumerate(column, start=done + 1):
            try:
                value.as_py()
            except Exception as error:  # the same
                raise DataError(
                    f"{place}:{number}: `{printable(name, 80)}` cannot be read "
                    f"({printable(first_line(error))}): repair the row"
                ) from None
        raise


def _require_lengths(column: Any) -> None:
    """Refuse a column whose parts do not fit each other.

    Texts that are no UTF-8 are left to whoever names their row, where nothing else can be wrong:
    of a nested column the first fault alone is told.
    """
    try:
        column.validate(full=True)
    except ValueError as error:  # pyarrow.ArrowInvalid
        if "UTF8" not in str(error) or str(column.type) not in _TEXTS:
            raise
