"""A file of rows in any order, from rows that come one after the other and do not fit into memory.

Method:
    Each row is written once as a line of JSON to a file without a name; the rows of the run are
    then copied from there in their order. Parquet needs one schema, for which the lines are read
    first.
"""

from __future__ import annotations

import datetime
import decimal
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from mixwise.errors import DataError, MissingDependencyError, first_line, printable

_AT_ONCE = 4096  # rows of Parquet that are held in memory
_AS_TEXT = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal)


class RowSpool:
    """Lines of JSON by their number, in a file without a name.

    Args:
        file: Opened for reading and writing.
        n_rows: How many lines there will be.
    """

    def __init__(self, file: IO[bytes], n_rows: int) -> None:
        self._file = file
        self._offsets = np.full(n_rows, -1, dtype=np.int64)
        self._end = 0

    def keep(self, number: int, values: Mapping[str, Any], place: str) -> None:
        """Write a row.

        Raises:
            DataError: If it holds what JSON cannot say; names its place.
        """
        try:
            text = json.dumps(values, ensure_ascii=False, default=_as_text, allow_nan=False)
            line = f"{text}\n".encode()
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{place}: the row cannot be written as JSON ({printable(first_line(error))}): "
                "repair it"
            ) from None
        self._offsets[number] = self._end
        self._end += self._file.write(line)

    def lines(self, numbers: npt.NDArray[np.int64]) -> Iterator[bytes]:
        """Rows by their numbers."""
        for offset in self._offsets[numbers].tolist():
            assert offset >= 0  # whoever chooses rows has kept them
            self._file.seek(offset)
            yield self._file.readline()


@contextmanager
def row_spool(folder: Path, n_rows: int) -> Iterator[RowSpool]:
    """A spool in a folder, gone when the block ends."""
    with tempfile.TemporaryFile(dir=folder) as file:
        yield RowSpool(file, n_rows)


def write_jsonl(path: Path, spool: RowSpool, numbers: npt.NDArray[np.int64]) -> None:
    """Write rows as JSON lines."""
    with path.open("wb") as file:
        file.writelines(spool.lines(numbers))


def write_parquet(path: Path, spool: RowSpool, numbers: npt.NDArray[np.int64]) -> None:
    """Write rows as Parquet.

    Raises:
        DataError: If a column has values of several types, or a number that is too large.
        MissingDependencyError: If pyarrow is missing.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingDependencyError(
            "`--materialise parquet` needs the package `pyarrow`: pip install 'mixwise[parquet]'"
        ) from None

    def table(rows: list[dict[str, Any]]) -> Any:
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.table({name: [row.get(name) for row in rows] for name in names})

    try:
        schema = pa.unify_schemas(
            [table(part).schema for part in _parts(spool, np.unique(numbers))],
            promote_options="permissive",
        )
        with pq.ParquetWriter(path, schema) as writer:
            for part in _parts(spool, numbers):
                writer.write_table(pa.Table.from_pylist(part, schema=schema))
    except (pa.ArrowException, OverflowError) as error:
        raise DataError(
            f"the rows do not fit into one table ({printable(first_line(error))}): use "
            "`--materialise jsonl`"
        ) from None


def _parts(spool: RowSpool, numbers: npt.NDArray[np.int64]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(numbers), _AT_ONCE):
        yield [json.loads(line) for line in spool.lines(numbers[start : start + _AT_ONCE])]


def _as_text(value: Any) -> str:
    """Dates, times and exact numbers as texts."""
    if isinstance(value, _AS_TEXT):
        return str(value)
    raise TypeError(f"it holds a value of type {type(value).__name__}")
