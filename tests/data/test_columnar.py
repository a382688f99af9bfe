"""Arrow files of both kinds; `test_rows` has Parquet, which is read alike."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.rows import read, refuse

from mixwise.errors import MissingDependencyError
from mixwise.records.record import Document

ROWS = 600  # more than are decoded together


def write_stream(path: Path, **columns: list[Any]) -> Path:
    """As `datasets` writes it, in batches of 250 rows."""
    table = pa.table(columns)
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=250)
    return path


def write_footed(path: Path, **columns: list[Any]) -> Path:
    """As Feather has it, compressed inside."""
    table = pa.table(columns)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=250)
    return path


@pytest.mark.parametrize("write", [write_stream, write_footed])
def test_each_row_is_a_document_that_knows_its_place(tmp_path: Path, write: Any) -> None:
    texts = [f"row {i} é" for i in range(1, ROWS + 1)]
    path = write(tmp_path / "d.arrow", n=list(range(ROWS)), text=texts)
    found = read(tmp_path, "d.arrow")
    assert found == [Document(text, str(path), i) for i, text in enumerate(texts, start=1)]


def test_a_folder_that_datasets_saved_is_read_as_its_rows(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"text": ["a", "b", "c"]}).save_to_disk(tmp_path / "saved")
    assert [document.text for document in read(tmp_path, "saved")] == ["a", "b", "c"]


@pytest.mark.parametrize("write", [write_stream, write_footed])
@pytest.mark.parametrize("n_lost", [1, 8, 200])
def test_a_file_that_was_cut_off_is_named(tmp_path: Path, write: Any, n_lost: int) -> None:
    path = write(tmp_path / "d.arrow", text=["a" * 9] * ROWS)
    path.write_bytes(path.read_bytes()[:-n_lost])
    refuse(r"d\.arrow: not a readable Arrow file \(.+\): replace it", tmp_path, "d.arrow")


def test_lengths_that_damage_has_changed_are_named(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "d.arrow", text=["one", "two"])
    content = path.read_bytes()
    lengths = struct.pack("<iii", 0, 3, 6)
    assert content.count(lengths) == 1
    path.write_bytes(content.replace(lengths, struct.pack("<iii", 0, 1 << 30, 6)))
    refuse(r"d\.arrow: not a readable Arrow file \(.+\): replace it", tmp_path, "d.arrow")


def test_lengths_behind_a_text_that_is_no_utf8_are_seen_too(tmp_path: Path) -> None:
    """Of the parts of a nested column Arrow tells the first fault alone."""
    rows = [{"a": "one", "b": "abc"}, {"a": "two", "b": "def"}]
    path = write_stream(tmp_path / "d.arrow", text=rows)
    content = path.read_bytes().replace(b"one", b"o\xffe")
    place = content.rindex(struct.pack("<iii", 0, 3, 6))
    path.write_bytes(content[:place] + struct.pack("<iii", 0, 1 << 30, 6) + content[place + 12 :])
    refuse(r"d\.arrow: not a readable Arrow file \(.+\)", tmp_path, "d.arrow", field="text.b")


def test_a_name_of_a_parquet_column_that_is_no_text_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "d.parquet", store_schema=False)
    content = (tmp_path / "d.parquet").read_bytes()
    (tmp_path / "d.parquet").write_bytes(content.replace(b"text", b"te\xaft"))
    refuse(r"d\.parquet: not a readable Parquet file \(.+\): replace it", tmp_path, "d.parquet")


@pytest.mark.parametrize("content", [b"x", b"hello, this is no Arrow file"])
def test_what_is_no_arrow_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.arrow").write_bytes(content)
    refuse(r"d\.arrow: not a readable Arrow file", tmp_path, "d.arrow")


def test_a_column_that_is_missing_names_the_nearest(tmp_path: Path) -> None:
    write_stream(tmp_path / "d.arrow", texts=["a"])
    refuse(r"d\.arrow: the field `text` is missing .*`texts`", tmp_path, "d.arrow")


def test_a_value_that_is_no_text_names_its_row(tmp_path: Path) -> None:
    write_stream(tmp_path / "d.arrow", text=["a"] * 300 + [None])
    refuse(r"d\.arrow:301: `text` must be a text, but got NoneType", tmp_path, "d.arrow")


def test_arrow_without_its_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_stream(tmp_path / "d.arrow", text=["a"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"Arrow needs .* 'mixwise\[parquet\]'"):
        read(tmp_path, "d.arrow")
