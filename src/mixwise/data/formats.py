"""What a data file is: its format and compression by its name, and what its first bytes deny.

Only data is data: a name that the table does not know is refused, never read as plain text.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

from mixwise.errors import DataError, MissingDependencyError, printable

Format = Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow", "text"]

SUFFIXES: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".jl": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".markdown": "text",
    ".rst": "text",
}
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
LONGEST_LINE = 2**28  # bytes; a line is held in memory several times over

_OTHER_KINDS = (
    (b"\x1f\x8b", "gzip: end its name in `.gz`"),
    (b"BZh", "bzip2: end its name in `.bz2`"),
    (b"\xfd7zXZ\x00", "xz: end its name in `.xz`"),
    (b"\x28\xb5\x2f\xfd", "Zstandard: end its name in `.zst`"),
    (b"PAR1", "Parquet: end its name in `.parquet`, or set `format: parquet`"),
    (b"ARROW1", "Arrow: end its name in `.arrow`, or set `format: arrow`"),
    (b"PK\x03\x04", "a zip archive: unpack it"),
    (b"%PDF-", "PDF: extract its text"),
    (b"SQLite format 3\x00", "a SQLite database: export its rows to JSONL"),
    (b"\xff\xfe", "UTF-16: convert it to UTF-8"),
    (b"\xfe\xff", "UTF-16: convert it to UTF-8"),
)


def name_parts(name: str) -> tuple[str, str]:
    """The suffixes of a file's name, in lower case: of its format, and of its compression.

    Example:
        >>> name_parts("Part.1.JSONL.gz"), name_parts("part-00000")
        (('.jsonl', '.gz'), ('', ''))
    """
    path = Path(name.lower())
    compression = path.suffix if path.suffix in COMPRESSIONS else ""
    return Path(path.name.removesuffix(compression)).suffix, compression


def known_format(name: str) -> Format | None:
    """Format of a file by its name, or None where the table does not know it."""
    return SUFFIXES.get(name_parts(name)[0])


def format_of(path: Path, wanted: str = "auto") -> Format:
    """Format of a file: as the recipe says, or by its name.

    Args:
        path: The file.
        wanted: The recipe's ``format``.

    Raises:
        DataError: If the name tells no format and the recipe says none, or Parquet or Arrow is
            compressed as a whole.
    """
    suffix, compression = name_parts(path.name)
    kind = SUFFIXES.get(suffix) if wanted == "auto" else _FORMATS[wanted]
    if kind is None:
        ends = (
            f"`{printable(suffix, 40)}` is no suffix of" if suffix else "its name has no suffix of"
        )
        raise DataError(
            f"{printable(str(path))}: {ends} a data file that mixwise knows "
            f"({', '.join(SUFFIXES)}; compressed: {', '.join(COMPRESSIONS)}): rename or convert "
            "it, or say what it is by `format`, such as `format: text` for source code"
        )
    if kind in ("parquet", "arrow") and compression:
        raise DataError(
            f"{printable(str(path))}: {kind.capitalize()} is compressed inside, so `{compression}` "
            "around it cannot be read: unpack it"
        )
    return kind


_FORMATS: Mapping[str, Format] = {kind: kind for kind in SUFFIXES.values()}


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, unpacked where its name ends in a compression's suffix.

    Raises:
        MissingDependencyError: If it is Zstandard and nothing here reads that.
    """
    opener = _OPENERS.get(name_parts(path.name)[1], Path.open)
    with opener(path, "rb") as file:
        yield file


def _open_zstandard(path: Path, _: str) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise MissingDependencyError(
            f"{printable(str(path))}: Zstandard needs the package `pyarrow`: "
            "pip install 'mixwise[parquet]'"
        ) from None
    return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))


_OPENERS: Mapping[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zstandard,
}


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file, numbered from 1; a byte order mark is no text.

    Raises:
        DataError: If it cannot be read, is not UTF-8, holds a NUL byte or a line of more than
            `LONGEST_LINE` bytes, or its first bytes are those of another kind of file.
    """
    number, place = 0, printable(str(path))
    try:
        with open_bytes(path) as file:
            for line in iter(partial(file.readline, LONGEST_LINE + 1), b""):
                number += 1
                if number == 1:
                    _require_text(line, place)
                if len(line) > LONGEST_LINE:
                    raise DataError(
                        f"{place}:{number}: a line of more than {LONGEST_LINE:,} bytes: split it"
                    )
                if b"\x00" in line:
                    raise DataError(
                        f"{place}:{number}: holds a NUL byte, so it is no text: remove the file, "
                        "or convert it to UTF-8"
                    )
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                yield number, text.replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}:{number}: not UTF-8 text ({error.reason}): convert the file to UTF-8"
        ) from None
    except READ_ERRORS as error:
        raise unreadable(path, error, f" after line {number}") from None


def _require_text(line: bytes, place: str) -> None:
    """Refuse a file whose first bytes tell that it is no plain text."""
    for magic, kind in _OTHER_KINDS:
        if line.startswith(magic) and (magic != b"BZh" or line[4:10] == b"1AY&SY"):
            raise DataError(f"{place}: its name says text, but its content is {kind}")


READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError)


def unreadable(path: Path, error: BaseException, where: str = "") -> DataError:
    """The error of a file that ends too early, is damaged, or may not be read."""
    reason = getattr(error, "strerror", None) or str(error)
    return DataError(
        f"{printable(str(path))}: cannot be read{where} ({printable(reason)}): replace the file"
    )
