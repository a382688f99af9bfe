"""Domains that a column names: its values are counted, remembered, and made names.

Method:
    One pass over the files asks for the column alone. What it finds is kept in the cache under the
    hash of the files' content; a dataset of the hub is read each time. A study keeps the values
    that it was made with, so that later commands need neither.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mixwise.data.formats import format_of
from mixwise.data.matching import resolve_files
from mixwise.data.sources import read_column
from mixwise.errors import DataError, MixwiseWarning, printable, shown
from mixwise.files import MEMO_FILE, HashMemo
from mixwise.recipe import ColumnDomains, Recipe, hash_section
from mixwise.recipe.names import legal_name
from mixwise.records.row import Wanted, pick, require_unicode
from mixwise.study.kept_findings import load_found, save_found

_KEY = "domains_from"
_MOST_DOMAINS = 64  # each costs an expert
_MOST_VALUES = 100_000  # that are counted: a column of so many names no domains
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Value:
    """How many rows have a value, and where the first of them stands."""

    n_rows: int
    place: str


def find_values(recipe: Recipe, folder: Path, cache: Path | None) -> dict[str, str]:
    """The values of the column of ``domains_from``, by the domains that they name.

    Args:
        recipe: The recipe; one without ``domains_from`` has none.
        folder: Folder that its relative paths start from.
        cache: Folder in which findings are kept; None to keep none.

    Returns:
        The values that enough rows have, in the order of the names.

    Raises:
        DataError: If the source cannot be read; if a value is no text, or none that a name can be
            made of; if two make the same name; or if there are too many.
        ResourceError: If the cache cannot be written.
        MissingDependencyError: If Parquet or the hub is asked for without its package.
    """
    source = recipe.domains_from
    if source is None:
        return {}
    counted = _counted(source, folder, cache)
    kept = {value: each for value, each in counted.items() if each.n_rows >= source.least_rows}
    _warn_of_rare(source, counted, kept)
    if len(kept) > _MOST_DOMAINS:
        raise _too_many(source, kept, f"{len(kept):,}")
    return _name(source, kept)


def _name(source: ColumnDomains, values: Mapping[str, _Value]) -> dict[str, str]:
    """The values by name: each a value whose other characters are replaced by ``-``."""
    named: dict[str, str] = {}
    lowered: dict[str, str] = {}
    for value, each in values.items():
        name = legal_name(value)
        if not name:
            raise DataError(
                f"{each.place}: `{_KEY}.column`: a domain is named by letters from a to z and "
                f"digits, but `{printable(source.column, 80)}` is {shown(value)}: rename it"
            )
        other = lowered.setdefault(name.lower(), value)
        if other != value:
            raise DataError(
                f"{each.place}: `{_KEY}.column`: {shown(value)} and {shown(other)} (first at "
                f"{values[other].place}) both make the domain `{name}`: rename one"
            )
        named[name] = value
    return {name: named[name] for name in sorted(named)}


def _warn_of_rare(
    source: ColumnDomains, counted: Mapping[str, _Value], kept: Mapping[str, _Value]
) -> None:
    rare = {value: each for value, each in counted.items() if value not in kept}
    if rare:
        warnings.warn(
            f"`{_KEY}`: {len(rare):,} value(s) of `{printable(source.column, 80)}` that fewer than "
            f"{source.least_rows:,} rows have are left out: {_listed(rare)}",
            MixwiseWarning,
            stacklevel=3,
        )


def _too_many(source: ColumnDomains, values: Mapping[str, _Value], count: str) -> DataError:
    return DataError(
        f"`{_KEY}.column`: `{printable(source.column, 80)}` has {count} values, but at most "
        f"{_MOST_DOMAINS} can be domains (the most frequent: {_listed(values)}): raise "
        "`least_rows`, or name another column"
    )


def _listed(values: Mapping[str, _Value]) -> str:
    ordered = sorted(values.items(), key=lambda item: (-item[1].n_rows, item[0]))
    listed = [f"{shown(value)} ({each.n_rows:,} rows)" for value, each in ordered[:_SHOWN]]
    return ", ".join([*listed, *(["…"] if len(values) > _SHOWN else [])])


def _counted(source: ColumnDomains, folder: Path, cache: Path | None) -> dict[str, _Value]:
    """Every value, from the cache where it was counted before."""
    if source.hub is not None or cache is None:
        return _count(source, folder)
    file = cache / f"column-{_key(source, folder, cache)}.json"
    known = load_found(file, _parse, "the column's values are counted anew")
    if known is None:
        known = _count(source, folder)
        save_found(file, {"values": {value: asdict(each) for value, each in known.items()}})
    return known


def _key(source: ColumnDomains, folder: Path, cache: Path) -> str:
    hash_file = HashMemo(cache / f"columns{MEMO_FILE}")
    files = resolve_files(source.files, folder, f"{_KEY}.files", source.format)
    asked = source.model_dump_json(include={"column", "where"})
    parts = (f"{path} {format_of(path, source.format)} {hash_file(path)}" for path in files)
    return hash_section(asked, *parts)


def _parse(content: Mapping[str, Any]) -> dict[str, _Value]:
    return {value: _Value(**each) for value, each in content["values"].items()}


def _count(source: ColumnDomains, folder: Path) -> dict[str, _Value]:
    counts: dict[str, int] = {}
    places: dict[str, str] = {}
    for value, place in _read(source, folder):
        counts[value] = counts.get(value, 0) + 1
        places.setdefault(value, place)
        if len(counts) > _MOST_VALUES:
            so_far = {value: _Value(n, places[value]) for value, n in counts.items()}
            raise _too_many(source, so_far, f"more than {_MOST_VALUES:,}")
    if not counts:
        raise DataError(f"`{_KEY}`: no row is left to name a domain: correct `files` or `where`")
    return {value: _Value(n, places[value]) for value, n in counts.items()}


def _read(source: ColumnDomains, folder: Path) -> Iterator[tuple[str, str]]:
    """The value of each row, and the row's place."""
    column = Wanted(source.column, f"{_KEY}.column")
    for row in read_column(source, folder, _KEY, column):
        value = pick(row, column)
        if not isinstance(value, str) or not value.strip():
            raise DataError(
                f"{row.place}: `{printable(source.column, 80)}` must hold a text that names the "
                f"row's domain (`{column.key}`), but got {shown(value)}: fill it, or remove the "
                "row"
            )
        require_unicode(value, row, column)
        yield value, row.place
