"""Records of one image and its label, for classification.

The image is the path of a file, which must stay inside the folder of the file that names it, or
its bytes, as `datasets` stores them: beside a path, or alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixwise.errors import DataError, printable
from mixwise.records.decoding import decode_image, hash_image
from mixwise.records.labelled import read_label
from mixwise.records.record import Document
from mixwise.records.row import FileRow, RowReader, Wanted, pick
from mixwise.section import Section


class ImageFields(Section):
    """Where the parts of a row stand; dots lead into nested objects."""

    image: str = "image"
    label: str = "label"


def wanted_fields(fields: ImageFields, key: str) -> tuple[Wanted, Wanted]:
    """The fields of image and label."""
    return Wanted(fields.image, f"{key}.fields.image"), Wanted(fields.label, f"{key}.fields.label")


def reader(fields: ImageFields, key: str) -> RowReader:
    """Reads an image and its label."""
    image, label = wanted_fields(fields, key)

    def read(row: FileRow) -> Document:
        found = read_label(row, label)
        pixels = decode_image(find_image(row, image), row.place)
        return Document(hash_image(pixels), row.file, row.line, label=found, image=pixels)

    return RowReader((image, label), read)


def find_image(row: FileRow, wanted: Wanted) -> Path | bytes:
    """The file of a row's image, or its bytes.

    Raises:
        DataError: If the row has neither, or the path leads out of the folder of the row's file.
    """
    value: Any = pick(row, wanted)
    if isinstance(value, Mapping):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if isinstance(value, Path):  # of an image folder, which has looked at it
        return value
    if isinstance(value, bytes) and value:
        return value
    if isinstance(value, str) and value:
        return _inside(Path(row.file).parent, value, row)
    raise DataError(
        f"{row.place}: `{printable(wanted.field, 80)}` must be the path or the bytes of an image, "
        f"but got {printable(repr(value), 80)}: correct it, or name another field in `{wanted.key}`"
    )


def _inside(folder: Path, name: str, row: FileRow) -> Path:
    """The file of a path below a folder, links followed."""
    path = Path(name)
    shown = printable(name, 120)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"{row.place}: the image `{shown}` must lie below the folder of the file that names "
            "it: write its path from there, without `..`"
        )
    try:
        whole = (folder / path).resolve(strict=True)
        is_file = whole.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        raise DataError(f"{row.place}: the image `{shown}` is no file: correct the path")
    if not whole.is_relative_to(folder.resolve()):
        raise DataError(
            f"{row.place}: the image `{shown}` is a link out of its folder: put the file there"
        )
    return whole
