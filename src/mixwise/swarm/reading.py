"""Read runs from a user's files: tables of mixtures and scores, joined where they are apart.

RegMix and Olmix keep mixtures in one file and scores in another, whose rows belong together by a
column; exports of Weights & Biases or MLflow are one file with other columns beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import DataError, printable
from mixwise.swarm.cells import as_number, is_number_or_gap
from mixwise.swarm.columns import directions, is_score, normalised, share_columns
from mixwise.swarm.joining import RunFile, find_keys, join, repeated_columns
from mixwise.swarm.table import Asked, SwarmTable

_STATES = ("state", "status")  # columns of Weights & Biases, MLflow and Ray Tune
_UNFINISHED = frozenset(
    (
        *("crashed", "failed", "killed", "error", "preempted", "preempting"),
        *("running", "pending", "scheduled", "paused"),
    )
)


def read_swarm(files: Sequence[Path], asked: Asked = Asked()) -> SwarmTable:  # noqa: B008  # frozen
    """Read runs.

    Args:
        files: Tables (CSV, TSV, JSON lines, JSON, Parquet, Arrow). Rows of several files belong
            together where they are equal in the columns that tell runs apart.
        asked: What the columns are; what it does not say is recognised.

    Raises:
        DataError: If a file cannot be read, rows do not belong together, files differ in a score, a
            run did not end well, a score is missing or no number, or the columns cannot be told.
    """
    tables = [RunFile.read(file) for file in files]
    keys = find_keys(tables, asked) if len(tables) > 1 else ()
    repeated = repeated_columns(tables) - {*keys}
    scores = {n for n in repeated if n in asked.domains or n in asked.metrics or is_score(n)}
    joined, n_alone = join(tables, keys, scores)
    _require_finished(joined)
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
    try:
        domains = asked.domains or share_columns(unscored, groups)
        shares, sums = normalised(numbers, domains, places)
    except DataError as error:
        raise DataError(f"{error}{_odd_cell(joined, asked.domains or kept)}") from None
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


def _require_finished(joined: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Refuse runs that a tracker says did not end well: their last score is not their final one.

    Raises:
        DataError: Names the first of them.
    """
    for place, row in joined:
        for name, value in row.items():
            is_told = name.strip().lower() in _STATES
            if is_told and str(value).strip().lower() in _UNFINISHED:
                raise DataError(
                    f"{place}: the run is `{printable(str(value), 80)}` by its column "
                    f"`{printable(name, 80)}`, so that its score is none of a whole run: remove "
                    "the row, or the column where all scores count"
                )


def _odd_cell(joined: Sequence[tuple[str, Mapping[str, Any]]], names: Sequence[str]) -> str:
    """The first cell without a share in a column that has one in most rows; empty for none."""
    for name in names:
        odd = [(place, row.get(name)) for place, row in joined if not _may_be_share(row.get(name))]
        if not is_score(name) and 0 < 2 * len(odd) < len(joined):
            place, cell = odd[0]
            shown = printable(str(cell), 80) if cell not in (None, "") else "nothing"
            return f" ({place} has {shown} in the column `{printable(name, 80)}`)"
    return ""


def _may_be_share(cell: Any) -> bool:
    number = as_number(cell)
    return number is not None and number >= 0


def _numbers(rows: Sequence[Mapping[str, Any]], name: str) -> Array | None:
    """A column, where all of it is numbers."""
    found = [as_number(row.get(name)) for row in rows]
    numbers = [number for number in found if number is not None]
    return np.array(numbers) if len(numbers) == len(found) else None


def _may_be_score(rows: Sequence[Mapping[str, Any]], name: str, asked: Asked) -> bool:
    """Whether a column holds numbers; also one with gaps, for the gap to be named.

    Where a column has texts between its numbers, its name or the user must say that it is a score.
    """
    values = [row.get(name) for row in rows]
    if all(as_number(value) is None for value in values):
        return False
    return name in asked.metrics or is_score(name) or all(map(is_number_or_gap, values))


def _complete(joined: Sequence[tuple[str, Mapping[str, Any]]], name: str) -> Array:
    """A metric of every run.

    Raises:
        DataError: Names the first run that lacks it.
    """
    found = []
    for place, row in joined:
        number = as_number(row.get(name))
        if number is None:
            raise DataError(
                f"{place}: the metric `{printable(name, 80)}` is "
                f"{printable(str(row.get(name, 'missing')), 80) or 'empty'}, which is no number: "
                "remove the row, or name the metrics of the objective without it"
            )
        found.append(number)
    return np.array(found)
