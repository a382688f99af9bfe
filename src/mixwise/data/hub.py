"""Datasets of the hub: whole ones are read where `datasets` keeps them, others as streams.

Method:
    Of a stream the first ``stream_rows`` rows are read once and kept in the cache as JSON lines,
    which everything later reads, as any other file. Beside them stands what was read: how many
    rows, whether the stream ended there, and the hash of the rows. Where they are lost, the rows
    that are read again must have that hash: a dataset that has changed is named.

Departures:
    `datasets` would read a stream anew at each of the passes that the data take here, each time
    from wherever the dataset stands by then.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from mixwise.data.columnar import chosen_columns
from mixwise.data.token_cache import FACTS_FILE, part_folder, save_facts
from mixwise.errors import (
    DamagedError,
    DataError,
    MissingDependencyError,
    ResourceError,
    StudyError,
    first_line,
    printable,
)
from mixwise.files import MEMO_FILE, HashMemo, hash_file, load_sealed
from mixwise.progress import OnProgress, Progress, silent
from mixwise.recipe import HubDataset, TextSource, hash_section
from mixwise.recipe.names import legal_name
from mixwise.records.row import FileRow, Wanted
from mixwise.shortages import explain_failed_write

_ROWS_FILE = "rows.jsonl"
_TOLD = 256  # rows between two tellings of the progress
_AS_TEXT = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal)


def read_hub(
    hub: HubDataset,
    key: str,
    wanted: Sequence[Wanted],
    *,
    undecoded: str | None = None,
    named: str | None = None,
) -> Iterator[FileRow]:
    """Rows of a whole dataset of the hub, the columns asked for alone.

    Args:
        hub: The dataset.
        key: Key path of its source in the recipe, for error texts.
        wanted: The fields that will be asked for.
        undecoded: A column whose images stay as they are stored: bytes and a path.
        named: A column of labels; where the dataset keeps numbers of them, rows have their names.

    Raises:
        DataError: If it cannot be had, lacks a column, or a row cannot be read.
        MissingDependencyError: If the package `datasets` is missing.
    """
    table = _open(hub, key, streaming=False)
    place = printable(hub.dataset)
    if undecoded is not None:
        table = _undecoded(table, undecoded)
    names = () if named is None else _class_names(table, named)
    table = table.select_columns(chosen_columns(wanted, list(table.column_names), place))
    for number, values in enumerate(_rows(table, place), start=1):
        if names and named is not None and named in values:
            values[named] = _name_of(values[named], names)
        yield FileRow(values, hub.dataset, number)


def read_class_names(hub: HubDataset, key: str, column: str) -> tuple[str, ...]:
    """Names of the labels that a column holds the numbers of, in their order.

    Args:
        hub: A whole dataset.
        key: Key path of its source in the recipe, for error texts.
        column: The column.

    Returns:
        Nothing where the column is missing, or holds the labels themselves.

    Raises:
        DataError: If the dataset cannot be had.
        MissingDependencyError: If the package `datasets` is missing.
    """
    return _class_names(_open(hub, key, streaming=False), column)


def _class_names(table: Any, column: str) -> tuple[str, ...]:
    import datasets

    feature = table.features.get(column)
    return tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else ()


def _name_of(value: Any, names: Sequence[str]) -> Any:
    """The name of a label; what is no number of one, such as -1 for none, stays."""
    is_number = isinstance(value, int) and 0 <= value < len(names)
    return names[value] if is_number else value


def _undecoded(table: Any, column: str) -> Any:
    """The table with a column of images as they are stored; as it is where it has none."""
    import datasets

    if not isinstance(table.features.get(column), datasets.Image):
        return table
    return table.cast_column(column, datasets.Image(decode=False))


def _open(hub: HubDataset, key: str, *, streaming: bool) -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingDependencyError(
            f"`{key}.hub`: datasets of the hub need the package `datasets`: "
            "pip install 'mixwise[hub]'"
        ) from None
    try:
        return datasets.load_dataset(
            hub.dataset, hub.config, split=hub.split, revision=hub.revision, streaming=streaming
        )
    except Exception as error:  # `datasets` raises errors of many libraries
        raise DataError(
            f"`{key}.hub`: `{printable(hub.dataset)}` cannot be read "
            f"({printable(first_line(error))}): check the name, config and split, and the network"
        ) from None


def _rows(table: Any, place: str) -> Generator[dict[str, Any]]:
    rows, number = iter(table), 0
    while True:
        number += 1
        try:
            values = dict(next(rows))
        except StopIteration:
            return
        except Exception as error:  # as of opening it
            raise DataError(
                f"{place}:{number}: the row cannot be read ({printable(first_line(error))}): "
                "choose another revision, or repair it"
            ) from None
        yield values


@dataclass(frozen=True, slots=True)
class KeptStream:
    """What was read of a stream.

    Args:
        file: Its rows, as JSON lines.
        n_rows: How many they are.
        is_whole: Whether the stream ended with them.
        left_out: Columns that hold neither text, number, list nor mapping, and were not kept.
        content: Hash of the file.
    """

    file: Path
    n_rows: int
    is_whole: bool
    left_out: tuple[str, ...]
    content: str

    def source(self, source: TextSource) -> TextSource:
        """The source that reads these rows in place of the stream."""
        return source.model_copy(update={"files": (str(self.file),), "hub": None, "format": "auto"})


def keep_stream(
    hub: HubDataset, key: str, cache: Path, on_progress: OnProgress = silent
) -> KeptStream:
    """Read the first rows of a stream, or find them in the cache.

    Args:
        hub: A dataset with ``stream_rows``.
        key: Key path of its source in the recipe, for error texts.
        cache: Folder of the cache; made when missing.
        on_progress: Told how many rows are read.

    Raises:
        DataError: If it cannot be had or holds no row; or if rows that were lost are others now.
        MissingDependencyError: If the package `datasets` is missing.
        ResourceError: If the disk is full.
    """
    if Path(hub.dataset).exists():
        raise DataError(
            f"`{key}.hub.stream_rows`: {printable(hub.dataset)} lies on this machine: name its "
            "files by `files`"
        )
    folder = cache / "streams" / f"{legal_name(hub.dataset)}-{hash_section(hub)}"
    known = _load(folder)
    if known is not None and _is_sound(known):
        return known
    try:
        with part_folder(folder) as partial:
            found = _write(hub, key, partial, on_progress)
            if known is not None and known.content != found.content:
                raise DataError(
                    f"`{key}.hub`: `{printable(hub.dataset)}` gives other rows now than those that "
                    f"were kept in {known.file}, which are lost: set `revision` to what it was "
                    f"then, or remove {folder} to take the new ones"
                )
    except OSError as error:
        raise ResourceError(
            f"rows of a stream: {explain_failed_write(error, folder.parent)}, or set MIXWISE_CACHE "
            "to another folder"
        ) from None
    return replace(found, file=folder / _ROWS_FILE)


def _load(folder: Path) -> KeptStream | None:
    """What was read before; None where nobody knows, so that it is read anew."""
    try:
        known = load_sealed(folder / FACTS_FILE, "it is made anew")
        facts, content = known["facts"], known["files"][_ROWS_FILE]
        left_out = tuple(facts["left_out"])
        return KeptStream(
            folder / _ROWS_FILE, facts["n_rows"], facts["is_whole"], left_out, content
        )
    except (OSError, StudyError, DamagedError, KeyError, TypeError):
        return None


def _is_sound(kept: KeptStream) -> bool:
    with contextlib.suppress(DataError):
        return HashMemo(kept.file.parent / MEMO_FILE)(kept.file) == kept.content
    return False


def _write(hub: HubDataset, key: str, folder: Path, on_progress: OnProgress) -> KeptStream:
    """Write the first rows of a stream; one row more tells whether it ends there."""
    assert hub.stream_rows is not None  # whoever calls keeps streams
    place, limit = printable(hub.dataset), hub.stream_rows
    rows = _rows(_open(hub, key, streaming=True), place)
    file = folder / _ROWS_FILE
    with file.open("w", encoding="utf-8") as lines:
        n_rows, left_out = _write_rows(rows, limit, place, lines, on_progress)
    if not n_rows:
        raise DataError(f"`{key}.hub`: `{place}` holds no row: choose another split")
    is_whole = next(rows, None) is None
    rows.close()
    save_facts(folder, {"n_rows": n_rows, "is_whole": is_whole, "left_out": left_out})
    return KeptStream(file, n_rows, is_whole, left_out, hash_file(file))


def _write_rows(
    rows: Iterator[Mapping[str, Any]], limit: int, place: str, lines: IO[str], tell: OnProgress
) -> tuple[int, tuple[str, ...]]:
    """Write rows as JSON lines.

    Returns:
        How many there are, and the columns that JSON does not hold, by the first row.
    """
    left_out: tuple[str, ...] = ()
    number = 0
    while number < limit and (row := next(rows, None)) is not None:
        number += 1
        if number == 1:
            left_out = tuple(name for name, value in row.items() if not _is_json(value))
        try:
            kept = {name: value for name, value in row.items() if name not in left_out}
            lines.write(json.dumps(kept, ensure_ascii=False, default=_as_text) + "\n")
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{place}:{number}: the row cannot be kept ({printable(first_line(error))}): "
                "choose another dataset, or download it and name its `files`"
            ) from None
        if number % _TOLD == 0 or number == limit:
            tell(Progress(f"reading {place}", number, limit, "rows", is_ceiling=True))
    return number, left_out


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, default=_as_text)
    except (TypeError, ValueError):
        return False
    return True


def _as_text(value: Any) -> str:
    """Dates, times and exact numbers as texts, which conditions (``where``) can name."""
    if isinstance(value, _AS_TEXT):
        return str(value)
    raise TypeError(f"it holds a value of type {type(value).__name__}")
