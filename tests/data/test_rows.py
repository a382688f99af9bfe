import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.rows import read, refuse, texts, write_parquet

from mixwise.errors import MissingDependencyError
from mixwise.records.record import Document


def test_rows_of_parquet_are_documents(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "d.parquet", body=[f"row {i}" for i in range(3000)], n=[1] * 3000
    )
    found = read(tmp_path, "d.parquet", field="body")
    assert len(found) == 3000
    assert found[2999] == Document("row 2999", str(path), 3000)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"text" "a"}', r"d\.jsonl:3: broken JSON \(.*at column 9\): repair or remove the line"),
        ("[1, 2]", r"d\.jsonl:3: a line must hold a JSON object, but got list: write one object"),
        ('"text"', r"d\.jsonl:3: a line must hold a JSON object, but got str"),
        ('{"txt": "a"}', r"d\.jsonl:3: the field `text` is missing .*math.field.* mean `txt`"),
        ('{"zzz": "a"}', r"d\.jsonl:3: the field `text` is missing .*valid are: `zzz`"),
        ('{"text": 3}', r"d\.jsonl:3: `text` must be a text, but got int: name another field in"),
        ('{"text": null}', r"d\.jsonl:3: `text` must be a text, but got NoneType"),
        ("[" * 100_000, r"d\.jsonl:3: "),
        ('{"n": 1' + "0" * 5000 + "}", r"d\.jsonl:3: "),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, rule: str) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "a"}\n\n' + line + "\n")
    refuse(rule, tmp_path, "d.jsonl")


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.parquet").write_text("hello")
    refuse(r"d\.parquet: not a readable Parquet file \(.*\): replace it", tmp_path, "d.parquet")


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "d.parquet", text=["a"] * 1000)
    path.write_bytes(path.read_bytes()[:-50])
    refuse(r"d\.parquet: not a readable Parquet file", tmp_path, "d.parquet")


def test_a_parquet_file_with_corrupt_pages_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "d.parquet", text=[f"hello {i * 7919}" for i in range(3000)])
    content = bytearray(path.read_bytes())
    content[30:3000] = bytes(byte ^ 0x5A for byte in content[30:3000])
    path.write_bytes(content)
    refuse(r"d\.parquet: not a readable Parquet file", tmp_path, "d.parquet")


def test_a_parquet_column_that_is_missing_names_the_nearest(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d.parquet", texts=["a"])
    refuse(r"d\.parquet: the field `text` is missing .*`texts`", tmp_path, "d.parquet")


def test_parquet_without_its_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "d.parquet", text=["a"])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mixwise\[parquet\]'"):
        read(tmp_path, "d.parquet")


def test_a_key_that_stands_twice_in_an_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "a", "text": "b"}\n')
    refuse(r"d\.jsonl:1: .*the key `text` stands twice in one object", tmp_path, "d.jsonl")


def test_an_array_of_objects_is_read_as_rows(tmp_path: Path) -> None:
    rows = [{"text": "a"}, {"text": "b"}]
    (tmp_path / "d.json").write_text(json.dumps(rows, indent=2))
    assert [(d.text, d.line) for d in read(tmp_path, "d.json")] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ('[{"text": "a"},\n {"text" "b"}]', r"d\.json:2: broken JSON .*: repair the array"),
        ('[{"text": "a"}, 3]', r"d\.json:2: .* must hold a JSON object, but got int"),
        ('[{"text": "a"}', r"d\.json:1: broken JSON"),
        ('{\n  "text": "a"\n}', r"d\.json:1: broken JSON"),
    ],
)
def test_a_broken_array_is_named(tmp_path: Path, content: str, rule: str) -> None:
    (tmp_path / "d.json").write_text(content)
    refuse(rule, tmp_path, "d.json")


@pytest.mark.parametrize(("name", "mark"), [("d.csv", ","), ("d.tsv", "\t"), ("d.csv.gz", ",")])
def test_tables_of_text_are_read_by_column(tmp_path: Path, name: str, mark: str) -> None:
    lines = [["id", "text"], ["1", '"two\nlines, ""quoted"""'], ["2", "b"]]
    content = "".join(mark.join(line) + "\r\n" for line in lines).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found = [(d.text, d.line) for d in read(tmp_path, name)]
    assert found == [('two\nlines, "quoted"', 2), ("b", 4)]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("a,b\n1,2\n", r"d\.csv: the field `text` is missing .*valid are: `a`, `b`"),
        ("text,text\n1,2\n", r"d\.csv: the column `text` stands 2 times"),
        ("text,b\n1,2\n1\n", r"d\.csv:3: the row has 1 cells, but .* names 2 columns"),
        ('text,b\n"a,2\n', r"d\.csv:2: a broken table"),
        ('text,b\n"a"b,2\n', r"d\.csv:2: a broken table"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, content: str, rule: str) -> None:
    (tmp_path / "d.csv").write_text(content)
    refuse(rule, tmp_path, "d.csv")


def test_a_tab_in_an_error_is_written_out(tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text('text\tb\n"a"b\t2\n')
    refuse(r"d\.tsv:2: a broken table \('\\t' expected", tmp_path, "d.tsv")


def test_columns_that_nobody_asked_for_cannot_do_harm(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(
        pa.string(), 2, [*pa.array(["ab", "cd"]).buffers()[:2], pa.py_buffer(b"a\xffcd")]
    )
    dates = pa.array([3_000_000, 1], pa.int32()).cast(pa.date32())
    table = pa.table({"text": ["a", "b"], "day": dates, "bad": bad})
    pq.write_table(table, tmp_path / "d.parquet")
    assert texts(tmp_path, "d.parquet") == ["a", "b"]
    refuse(r"d\.parquet:1: `bad` cannot be read \(.*utf-8.*\)", tmp_path, "d.parquet", field="bad")
    refuse(r"d\.parquet:1: `day` cannot be read", tmp_path, "d.parquet", field="day")


@pytest.mark.parametrize("kind", ["m", "n"])
def test_a_field_inside_that_is_not_there_is_named(tmp_path: Path, kind: Any) -> None:
    table = pa.table({"m": [[{"body": "a"}]], "n": [{"other": "a"}]})
    pq.write_table(table, tmp_path / "d.parquet")
    refuse(rf"d\.parquet:1: .*`{kind}\.body`", tmp_path, "d.parquet", field=f"{kind}.body")


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_every_kind_of_string_column_is_text(tmp_path: Path, kind: Any) -> None:
    column = pa.array(["a", "b"]).cast(kind)
    pq.write_table(pa.table({"text": column}), tmp_path / "d.parquet")
    assert texts(tmp_path, "d.parquet") == ["a", "b"]


def test_a_byte_column_is_no_text(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d.parquet", text=[b"a"])
    refuse(r"d\.parquet:1: `text` must be a text, but got bytes", tmp_path, "d.parquet")
