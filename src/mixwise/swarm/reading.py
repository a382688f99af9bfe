"""Read runs from a user's files: tables of mixtures and scores, joined where they are apart.

RegMix and Olmix keep mixtures in one file and scores in another, whose rows belong together by a
column; exports of Weights & Biases or MLflow are one file with other columns beside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixwise.arrays import Array
from mixwise.data.formats import format_of
from mixwise.data.rows import read_rows
from mixwise.errors import DataError, nearest, printable
from mixwise.records.row import FileRow
from mixwise.swarm.columns import directions, is_score, normalised, share_columns
from mixwise.swarm.table import Asked, SwarmTable


def read_swarm(files: Sequence[Path], asked: Asked = Asked()) -> SwarmTable:  # noqa: B008  # frozen
    """Read runs.

    Args:
        files: Tables (CSV, TSV, JSON lines, JSON, Parquet, Arrow). Rows of several files belong
            together where they are equal in the columns that tell runs apart.
        asked: What the columns are; what it does not say is recognised.

    Raises:
        DataError: If a file cannot be read, rows do not belong together, files differ in a score, a
            score is missing or no number, or the columns cannot be told.
    """
    tables = [_Table.read(file) for file in files]
    keys = _keys(tables, asked) if len(tables) > 1 else ()
    repeated = _repeated(tables) - {*keys}
    scores = {n for n in repeated if n in asked.domains or n in asked.metrics or is_score(n)}
    joined, n_alone = _join(tables, keys, scores)
    rows = [row for _, row in joined]
    places = tuple(place for place, _ in joined)
    columns = list(dict.fromkeys(n for table in tables for n in table.names))
    aside = {*keys, *asked.by, *(repeated - scores)}
    kept = [name for name in columns if name not in aside]
    numbers = {name: found for name in kept if (found := _numbers(rows, name)) is not None}
    groups = [
        [name for name in table.names if name in kept and name not in asked.metrics]
        for table in tables
    ]
    unscored = {name: column for name, column in numbers.items() if name not in asked.metrics}
    domains = asked.domains or share_columns(unscored, groups)
    shares, sums = normalised(numbers, domains, places)
    left = [n for n in kept if n not in domains and _may_be_score(rows, n, asked)]
    metrics = directions(asked, left)
    values = np.stack([_complete(joined, name) for name in metrics], axis=1)
    return SwarmTable(
        tuple(domains),
        metrics,
        shares,
        values,
        places,
        (float(sums.min()), float(sums.max())),
        n_alone,
    )


_GAPS = frozenset(("", "nan", "inf", "-inf", "na", "n/a", "none", "null"))


@dataclass(frozen=True, slots=True)
class _Table:
    """One file."""

    file: Path
    names: tuple[str, ...]
    rows: tuple[FileRow, ...]

    @classmethod
    def read(cls, file: Path) -> _Table:
        if not file.is_file():
            raise DataError(f"{printable(str(file))}: there is no such file: check the path")
        rows = tuple(read_rows(file, format_of(file), ()))
        if not rows:
            raise DataError(f"{printable(str(file))}: holds no rows: name a file of runs")
        return cls(file, tuple(dict.fromkeys(name for row in rows for name in row.values)), rows)


def _keys(tables: Sequence[_Table], asked: Asked) -> tuple[str, ...]:
    """The columns by which rows of several files belong together.

    Of the columns that all files have, the one that tells all runs apart and finds most of them
    again; all of them together where there is none.
    """
    shared = _shared(tables)
    for name in asked.by:
        if name not in shared:
            raise DataError(
                f"the column `{printable(name, 80)}` (`--by`) is not in every file: "
                f"{nearest(name, shared)}"
            )
    if asked.by:
        return asked.by
    if not shared:
        raise DataError(
            "the files have no column in common that tells which rows belong together: give each "
            "row an `index`"
        )
    found: dict[str, int] = {}
    for name in shared:
        values = [[_as_key(row.values.get(name)) for row in table.rows] for table in tables]
        if all(len(set(own)) == len(own) for own in values):
            found[name] = len(set.intersection(*map(set, values)))
    best = max(found, key=lambda name: found[name], default="")
    return (best,) if found and found[best] else tuple(shared)


def _shared(tables: Sequence[_Table]) -> list[str]:
    """Columns that all files have; none where there is one file."""
    if len(tables) == 1:
        return []
    return [name for name in tables[0].names if all(name in t.names for t in tables)]


def _repeated(tables: Sequence[_Table]) -> set[str]:
    """Columns that two files or more have."""
    counts = Counter(name for table in tables for name in table.names)
    return {name for name, n in counts.items() if n > 1}


def _join(
    tables: Sequence[_Table], keys: Sequence[str], scores: Collection[str]
) -> tuple[list[tuple[str, Mapping[str, Any]]], int]:
    """Rows with where they stand, and how many belong to nothing; files must agree in scores."""
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


def _by_key(table: _Table, keys: Sequence[str]) -> dict[tuple[str, ...], FileRow]:
    found: dict[tuple[str, ...], FileRow] = {}
    for row in table.rows:
        key = tuple(_as_key(row.values.get(name)) for name in keys)
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
        if _as_key(other.values[name]) != _as_key(rows[0].values[name]):
            raise DataError(
                f"{other.place}: `{printable(name, 80)}` is "
                f"{printable(str(other.values[name]), 80)}, but in {rows[0].place} it is "
                f"{printable(str(rows[0].values[name]), 80)}: rename one of the two columns, or "
                "remove it"
            )


def _named(columns: Sequence[str]) -> str:
    return ", ".join(f"`{printable(name, 80)}`" for name in columns)


def _as_key(value: Any) -> str:
    """A value as text, in which 3, 3.0 and "3" are one; empty for none."""
    text = "" if value is None else str(value).strip()
    number = _number(value)
    if number is None:
        return text
    if text.isdecimal():  # long ones keep all of their digits
        return str(int(text))
    return str(int(number)) if number.is_integer() else f"{number:.12g}"


def _numbers(rows: Sequence[Mapping[str, Any]], name: str) -> Array | None:
    """A column, where all of it is numbers."""
    found = [_number(row.get(name)) for row in rows]
    numbers = [number for number in found if number is not None]
    return np.array(numbers) if len(numbers) == len(found) else None


def _number(value: Any) -> float | None:
    """A finite number, or a text of one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _may_be_score(rows: Sequence[Mapping[str, Any]], name: str, asked: Asked) -> bool:
    """Whether a column holds numbers; also one with gaps, for the gap to be named.

    Where a column has texts between its numbers, its name or the user must say that it is a score.
    """
    values = [row.get(name) for row in rows]
    if all(_number(value) is None for value in values):
        return False
    return name in asked.metrics or is_score(name) or all(map(_is_number_or_gap, values))


def _is_number_or_gap(value: Any) -> bool:
    """Whether a value is a number, finite or not, or none at all."""
    if value is None or _number(value) is not None:
        return True
    return isinstance(value, float | str) and str(value).strip().lower() in _GAPS


def _complete(joined: Sequence[tuple[str, Mapping[str, Any]]], name: str) -> Array:
    """A metric of every run.

    Raises:
        DataError: Names the first run that lacks it.
    """
    found = []
    for place, row in joined:
        number = _number(row.get(name))
        if number is None:
            raise DataError(
                f"{place}: the metric `{printable(name, 80)}` is "
                f"{printable(str(row.get(name, 'missing')), 80) or 'empty'}, which is no number: "
                "remove the row, or name the metrics of the objective without it"
            )
        found.append(number)
    return np.array(found)
