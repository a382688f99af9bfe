"""Rows of images: image folders, one folder a label, beside files and datasets of the hub.

Method:
    A folder that holds folders is an image folder, `DIR/LABEL/*.png`; each file is a row whose
    label is the folder's name. Whatever else lies there is refused, documentation and hidden files
    apart: an image that is passed over would be missed by nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mixwise.data.formats import format_of, unreadable
from mixwise.data.hub import read_hub
from mixwise.data.matching import file_patterns, image_folders, is_data_name, resolve_files
from mixwise.data.rows import read_rows
from mixwise.errors import DataError, printable
from mixwise.files import hash_file
from mixwise.recipe import TextSource
from mixwise.records.decoding import SUFFIXES
from mixwise.records.image import ImageFields, find_image, wanted_fields
from mixwise.records.row import FileRow, Wanted, pick


def read_image_rows(
    source: TextSource, folder: Path, key: str, wanted: Sequence[Wanted]
) -> Iterator[FileRow]:
    """The rows of a source of images; none of them is opened.

    Args:
        source: Image folders, files or a dataset of the hub.
        folder: Folder that relative paths start from.
        key: Key path of the source in the recipe, for error texts.
        wanted: The fields that will be asked for.

    Raises:
        DataError: If a folder holds anything but images in folders, or a file is broken.
        MissingDependencyError: If Parquet or the hub is asked for without its package.
    """
    if source.hub is not None:
        yield from _hub_rows(source, key, wanted)
        return
    fields = _fields(source)
    for place in image_folders(source, folder):
        yield from _folder_rows(place, fields)
    patterns = file_patterns(source, folder)
    for path in resolve_files(patterns, folder, f"{key}.files", source.format) if patterns else ():
        kind = format_of(path, source.format)
        if kind == "text":
            raise DataError(
                f"{printable(str(path))}: plain text, but image records stand in rows or in "
                "folders, one a label: give JSONL, CSV, Parquet or a folder"
            )
        yield from read_rows(path, kind, wanted)


def hash_image_files(source: TextSource, folder: Path, key: str) -> str:
    """Hash of the images that stand in files of their own, and of the labels of folders."""
    image, label = wanted_fields(_fields(source), key)
    digest = hashlib.blake2b(digest_size=16)
    for row in read_image_rows(source, folder, key, (image, label)):
        content = find_image(row, image)
        if isinstance(content, Path):
            digest.update(f"{pick(row, label)} {hash_file(content)}\0".encode())
    return digest.hexdigest()


def _fields(source: TextSource) -> ImageFields:
    fields = source.parts
    assert isinstance(fields, ImageFields)  # whoever calls reads images
    return fields


def _folder_rows(place: Path, fields: ImageFields) -> Iterator[FileRow]:
    root = place.resolve()
    for label in _entries(place):
        if not label.is_dir():
            raise DataError(
                f"{printable(str(label))}: an image folder holds folders alone, one a label: move "
                "the file into one, or out"
            )
        for file in _entries(label):
            _require_image(file, root)
            yield FileRow({fields.image: file, fields.label: label.name}, str(file), 0)


def _entries(place: Path) -> Iterator[Path]:
    """What lies in a folder, hidden files and documentation left out."""
    try:
        entries = sorted(place.iterdir())
    except OSError as error:
        raise unreadable(place, error) from None
    for entry in entries:
        is_document = entry.suffix.lower() not in SUFFIXES and not is_data_name(entry.name)
        if not entry.name.startswith(".") and (entry.is_dir() or not is_document):
            yield entry


def _require_image(file: Path, root: Path) -> None:
    shown = printable(str(file))
    if file.is_dir():
        raise DataError(
            f"{shown}: a folder of a label holds images alone: name the folder above the labels "
            "in `files`"
        )
    if file.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"{shown}: its name is not that of an image ({', '.join(SUFFIXES)}): convert or "
            "remove it"
        )
    if not file.resolve().is_relative_to(root):
        raise DataError(f"{shown}: is a link out of its image folder: put the file there")


def _hub_rows(source: TextSource, key: str, wanted: Sequence[Wanted]) -> Iterator[FileRow]:
    """Rows of a dataset of the hub, whose images must be in it."""
    assert source.hub is not None
    column, label = _fields(source).image, _fields(source).label
    for row in read_hub(source.hub, key, wanted, undecoded=column, named=label):
        value = row.values.get(column)
        is_elsewhere = isinstance(value, Mapping) and value.get("bytes") is None
        if is_elsewhere or isinstance(value, str):
            raise DataError(
                f"{row.place}: the image is no part of the dataset, but a file elsewhere: name "
                f"its folder in `{key}.files`"
            )
        yield row
