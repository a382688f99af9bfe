"""Files of runs, and which of their rows belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.data.formats import format_of
from mixwise.data.rows import read_rows
from mixwise.errors import DataError, nearest, printable
from mixwise.records.row import FileRow
from mixwise.swarm.cells import as_key
from mixwise.swarm.table import Asked


@dataclass(frozen=True, slots=True)
class RunFile:
    """One file of runs.

    Args:
        file: Its path.
        names: Columns.
        rows: A run each.
    """

    file: Path
    names: tuple[str, ...]
    rows: tuple[FileRow, ...]

    @classmethod
    def read(cls, file: Path) -> RunFile:
        """Read a file whole.

        Raises:
            DataError: If it is missing, broken, empty or no table.
        """
        if not file.is_file():
            raise DataError(f"{printable(str(file))}: there is no such file: check the path")
        kind = format_of(file)
        if kind == "text":
            raise DataError(
                f"{printable(str(file))}: is plain text by its name, not a table: name a file of "
                "CSV, TSV, JSON lines, JSON, Parquet or Arrow"
            )
        rows = tuple(read_rows(file, kind, ()))
        if not rows:
            raise DataError(f"{printable(str(file))}: holds no rows: name a file of runs")
        return cls(file, tuple(dict.fromkeys(name for row in rows for name in row.values)), rows)


def find_keys(tables: Sequence[RunFile], asked: Asked) -> tuple[str, ...]:
    """The columns by which rows of several files belong together.

    Of the columns that all files have and that have a name (those without one count rows), the one
    that tells all runs apart and finds most of them again; all of them together where there is
    none.

    Args:
        tables: Two files or more.
        asked: What the user says of it.

    Raises:
        DataError: If there is none, two of them find other rows for the same run, all files have
            the same columns, or one of those that were asked for is not in every file.
    """
    shared = _shared(tables)
    if all(set(table.names) == set(shared) for table in tables):
        raise DataError(
            f"{printable(str(tables[1].file))}: has the same columns as "
            f"{printable(str(tables[0].file))}: files are joined by run, so put all runs into one"
        )
    for name in asked.by:
        if name not in shared:
            raise DataError(
                f"the column `{printable(name, 80)}` (`--by`) is not in every file: "
                f"{nearest(name, shared)}"
            )
    if asked.by:
        return asked.by
    named = [name for name in shared if name]
    if not named:
        raise DataError(
            "the files have no column in common that tells which rows belong together: give each "
            "row an `index`"
        )
    found = {name: places for name in named if (places := _places(tables, name)) is not None}
    best = max(found, key=lambda name: len(found[name]), default="")
    if not best or not found[best]:
        return tuple(named)
    for name, places in found.items():
        if 2 * len(places) > len(found[best]) and _differ(places, found[best]):
            raise DataError(
                f"the columns `{printable(name, 80)}` and `{printable(best, 80)}` tell runs apart, "
                "but by each of them other rows of the files belong together: name the right one "
                "by `--by`"
            )
    return (best,)


def _places(tables: Sequence[RunFile], name: str) -> set[tuple[int, ...]] | None:
    """Rows, one a file, that are equal in a column; None where it does not tell all runs apart."""
    values = [[as_key(row.values.get(name)) for row in table.rows] for table in tables]
    if any(len(set(own)) < len(own) for own in values):
        return None
    rows = [{value: k for k, value in enumerate(own)} for own in values]
    common = set.intersection(*map(set, values)) - {""}
    return {tuple(own[value] for own in rows) for value in common}


def _differ(one: set[tuple[int, ...]], other: set[tuple[int, ...]]) -> bool:
    """Whether two ways to join give some row of the first file other companions."""
    companions = {rows[0]: rows for rows in one}
    return any(companions.get(rows[0], rows) != rows for rows in other)


def _shared(tables: Sequence[RunFile]) -> list[str]:
    """Columns that all files have; none where there is one file."""
    if len(tables) == 1:
        return []
    return [name for name in tables[0].names if all(name in t.names for t in tables)]


def repeated_columns(tables: Sequence[RunFile]) -> set[str]:
    """Columns that two files or more have."""
    counts = Counter(name for table in tables for name in table.names)
    return {name for name, n in counts.items() if n > 1}


def join(
    tables: Sequence[RunFile], keys: Sequence[str], scores: Collection[str]
) -> tuple[list[tuple[str, Mapping[str, Any]]], int]:
    """Rows with where they stand, and how many belong to nothing.

    Args:
        tables: One file or more.
        keys: Columns by which rows of several belong together.
        scores: Columns of several files, in which these must agree.

    Raises:
        DataError: If rows cannot be told apart, none belong together, or files disagree.
    """
    if len(tables) == 1:
        return [(row.place, row.values) for row in tables[0].rows], 0
    by_key = [_by_key(table, keys) for table in tables]
    common = [key for key in by_key[0] if all(key in other for other in by_key)]
    if not common:
        raise DataError(
            f"no rows of the files are equal in {_named(keys)}: name the column that "
            "tells runs apart by `--by`"
        )
    joined: list[tuple[str, Mapping[str, Any]]] = []
    for key in common:
        parts = [other[key] for other in by_key]
        for name in scores:
            _require_agreement([part for part in parts if name in part.values], name)
        values = {name: value for part in parts for name, value in part.values.items()}
        joined.append((parts[0].place, values))
    return joined, sum(len(other) - len(common) for other in by_key)


def _by_key(table: RunFile, keys: Sequence[str]) -> dict[tuple[str, ...], FileRow]:
    found: dict[tuple[str, ...], FileRow] = {}
    for row in table.rows:
        key = tuple(as_key(row.values.get(name)) for name in keys)
        if not all(key):
            raise DataError(
                f"{row.place}: the row has nothing in {_named(keys)}, by which files are joined: "
                "fill it in, or remove the row"
            )
        if key in found:
            raise DataError(
                f"{row.place}: the row is equal in {_named(keys)} to that of {found[key].place}: "
                "give each run its own, or name the column that tells runs apart by `--by`"
            )
        found[key] = row
    return found


def _require_agreement(rows: Sequence[FileRow], name: str) -> None:
    for other in rows[1:]:
        if as_key(other.values[name]) != as_key(rows[0].values[name]):
            raise DataError(
                f"{other.place}: `{printable(name, 80)}` is "
                f"{printable(str(other.values[name]), 80)}, but in {rows[0].place} it is "
                f"{printable(str(rows[0].values[name]), 80)}: rename one of the two columns, or "
                "remove it"
            )


def _named(columns: Sequence[str]) -> str:
    return ", ".join(f"`{printable(name, 80)}`" for name in columns)
