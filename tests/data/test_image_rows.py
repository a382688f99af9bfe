from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from mixwise.data.image_rows import hash_image_files
from mixwise.data.sources import read_documents
from mixwise.errors import DataError
from mixwise.recipe import TextSource
from mixwise.records.record import Document

COLOURS = {"cat": "red", "dog": "blue"}


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """An image folder, and rows that name its files."""
    rows = []
    for label, colour in COLOURS.items():
        (tmp_path / "pets" / label).mkdir(parents=True)
        for k in range(2):
            name = f"{label}/{k}.png"
            Image.new("RGB", (4 + k, 3), colour).save(tmp_path / "pets" / name)
            rows.append({"image": name, "label": label})
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "pets.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for label in COLOURS:
        (tmp_path / "rows" / label).symlink_to(tmp_path / "pets" / label)
    return tmp_path


def source(files: str) -> TextSource:
    return TextSource(files=(files,)).read_as("image", {})


def documents(folder: Path, files: str) -> list[Document]:
    return list(read_documents(source(files), folder, "domains.pets"))


def content(found: list[Document]) -> list[tuple[str, str | None]]:
    return [(document.text, document.label) for document in found]


def test_a_folder_a_table_and_stored_bytes_hold_the_same(pets: Path) -> None:
    import datasets

    (pets / "README.md").write_text("pets")
    (pets / "pets" / "LICENSE").write_text("free")
    expected = documents(pets, "pets")
    assert [document.label for document in expected] == ["cat", "cat", "dog", "dog"]
    assert expected[0].place == str(pets / "pets" / "cat" / "0.png")
    rows = [json.loads(line) for line in (pets / "rows" / "pets.jsonl").read_text().splitlines()]
    table = "image,label\n" + "\n".join(f"{row['image']},{row['label']}" for row in rows)
    (pets / "pets" / "table.csv").write_text(table)
    assert content(documents(pets, "pets/table.csv")) == content(expected)
    (pets / "pets" / "table.csv").unlink()
    stored = [{**row, "image": {"bytes": read(pets, row["image"]), "path": None}} for row in rows]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    datasets.Dataset.from_list(stored, features).to_parquet(pets / "stored.parquet")
    assert content(documents(pets, "stored.parquet")) == content(expected)


def read(pets: Path, name: str) -> bytes:
    opened = io.BytesIO()
    Image.open(pets / "pets" / name).save(opened, "PNG")
    return opened.getvalue()


def test_paths_of_rows_do_not_follow_links_out_of_their_folder(pets: Path) -> None:
    with pytest.raises(DataError, match=r"pets\.jsonl:1: the image .* link out of its folder"):
        documents(pets, "rows/pets.jsonl")


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("pets/loose.png", r"loose\.png: an image folder holds folders alone"),
        ("pets/cat/more/3.png", "more: a folder of a label holds images alone"),
        ("pets/cat/3.psd", r"3\.psd: its name is not that of an image"),
        ("pets/cat/notice.png", None),
        ("pets/cat/.hidden", None),
        ("pets/.cache/3.png", None),
    ],
)
def test_what_is_no_image_of_a_label_is_refused_or_hidden(
    pets: Path, place: str, complaint: str | None
) -> None:
    (pets / place).parent.mkdir(exist_ok=True)
    Image.new("RGB", (9, 9)).save(pets / place, "PNG")
    if complaint is None:
        assert len(documents(pets, "pets")) == (5 if place.endswith("notice.png") else 4)
    else:
        with pytest.raises(DataError, match=complaint):
            documents(pets, "pets")


def test_a_link_out_of_an_image_folder_is_refused(pets: Path) -> None:
    Image.new("RGB", (9, 9)).save(pets / "outside.png")
    (pets / "pets" / "cat" / "link.png").symlink_to(pets / "outside.png")
    with pytest.raises(DataError, match=r"link\.png: is a link out of its image folder"):
        documents(pets, "pets")


def test_a_damaged_image_is_named_by_its_file(pets: Path) -> None:
    file = pets / "pets" / "dog" / "1.png"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"dog/1\.png: no whole image"):
        documents(pets, "pets")


def test_the_hash_of_a_source_sees_images_and_labels(pets: Path) -> None:
    def found() -> str:
        return hash_image_files(source("pets"), pets, "domains.pets")

    before = found()
    (pets / "pets" / "dog" / "1.png").rename(pets / "pets" / "cat" / "2.png")
    relabelled = found()
    Image.new("RGB", (5, 3), "green").save(pets / "pets" / "cat" / "2.png")
    assert len({before, relabelled, found()}) == 3
