from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mixwise.errors import DataError
from mixwise.records.image import ImageFields, find_image, reader, wanted_fields
from mixwise.records.record import Document
from mixwise.records.row import FileRow

WANTED = wanted_fields(ImageFields(), "domains.cats")[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "cats").mkdir(parents=True)
    for place in ("data/cats/1.png", "outside.png"):
        Image.new("RGB", (3, 2), "red").save(tmp_path / place)
    return tmp_path / "data"


def row(folder: Path, image: Any) -> FileRow:
    return FileRow({"image": image, "label": "cat"}, str(folder / "rows.jsonl"), 4)


def test_a_path_and_bytes_give_the_same_document(folder: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(content, "BMP")
    stored = content.getvalue()
    values = ["cats/1.png", stored, {"bytes": stored, "path": "/elsewhere/1.png"}]
    values.append({"bytes": None, "path": "cats/1.png"})
    read = reader(ImageFields(), "domains.cats").read
    found: list[Document] = [read(row(folder, value)) for value in values]
    assert len({document.text for document in found}) == 1
    assert {document.label for document in found} == {"cat"}
    assert found[0].place.endswith("rows.jsonl:4")


@pytest.mark.parametrize("name", ["../outside.png", "/etc/hostname", "cats/../../outside.png"])
def test_a_path_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:4: the image .* must lie below the folder"):
        find_image(row(folder, name), WANTED)


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "cats" / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "cats" / "inside.png").symlink_to(folder / "cats" / "1.png")
    assert find_image(row(folder, "cats/inside.png"), WANTED) == folder / "cats" / "1.png"
    with pytest.raises(DataError, match="is a link out of its folder"):
        find_image(row(folder, "cats/link.png"), WANTED)


@pytest.mark.parametrize("name", ["cats/2.png", "cats", "cats/\0.png"])
def test_what_is_no_file_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:4: the image .* is no file"):
        find_image(row(folder, name), WANTED)


@pytest.mark.parametrize("value", [None, "", b"", 3, {"bytes": None, "path": None}, ["cats/1.png"]])
def test_what_is_no_image_names_the_key(folder: Path, value: Any) -> None:
    with pytest.raises(DataError, match=r"must be the path or the bytes .*`domains\.cats\.fields"):
        find_image(row(folder, value), WANTED)
