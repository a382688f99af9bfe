import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.rows import read, refuse, texts, write_lines, write_parquet

from mixwise.errors import DataError
from mixwise.records.record import Document


@pytest.mark.parametrize("name", ["d.jsonl", "d.ndjson", "d.json", "D.JSONL"])
def test_each_line_of_jsonl_is_a_document_that_knows_its_place(tmp_path: Path, name: str) -> None:
    path = write_lines(tmp_path / name, {"text": "eins"}, {"text": "zwei\nü", "other": 1})
    assert read(tmp_path, name) == [
        Document("eins", str(path), 1),
        Document("zwei\nü", str(path), 2),
    ]


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('\n{"text": "a"}\n   \n\n{"text": "b"}')
    assert [(d.text, d.line) for d in read(tmp_path, "d.jsonl")] == [("a", 2), ("b", 5)]


def test_texts_of_white_space_are_passed_on(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", {"text": " "}, {"text": ""})
    assert texts(tmp_path, "d.jsonl") == [" ", ""]


@pytest.mark.parametrize("name", ["d.jsonl.gz", "D.JSONL.GZ"])
def test_compressed_jsonl_reads_alike(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b'{"text": "a"}\n{"text": "b"}\n'))
    assert texts(tmp_path, name) == ["a", "b"]


def test_compressed_plain_text_reads_alike(tmp_path: Path) -> None:
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress(b"a\nb\n"))
    assert texts(tmp_path, "d.txt.gz") == ["a\nb\n"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"source": "wiki"}, ["a", "c"]),
        ({"source": "wiki", "n": 1}, ["a"]),
        ({"n": 1.0}, ["a"]),
        ({"meta.ok": True}, ["b"]),
        ({"n": 2}, ["c"]),
        ({"source": "none"}, []),
    ],
)
def test_rows_alone_that_have_the_values_are_taken(
    tmp_path: Path, where: dict[str, object], found: list[str]
) -> None:
    write_lines(
        tmp_path / "d.jsonl",
        {"text": "a", "source": "wiki", "n": 1, "meta": {"ok": False}},
        {"text": "b", "source": "code", "n": True, "meta": {"ok": True}},
        {"text": "c", "source": "wiki", "n": 2, "meta": {"ok": 1}},
    )
    assert texts(tmp_path, "d.jsonl", where=where) == found


def test_tables_hold_numbers_as_texts_and_are_chosen_from_alike(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("text,n\na,1\nb,2\n")
    write_parquet(tmp_path / "d.parquet", text=["a", "b"], n=[1, 2])
    for name in ("d.csv", "d.parquet"):
        assert [(d.text, d.line) for d in read(tmp_path, name, where={"n": 2})] == [
            ("b", 3 if name == "d.csv" else 2)
        ]


def test_rows_without_the_field_and_plain_text_cannot_be_chosen_from(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", {"text": "a", "source": "wiki"}, {"text": "b"})
    rule = r"d\.jsonl:2: the field `source` is missing \(`domains.math.where`\)"
    refuse(rule, tmp_path, "d.jsonl", where={"source": "wiki"})
    (tmp_path / "d.txt").write_text("a")
    rule = r"d\.txt: plain text has no fields, which `domains.math.where` needs"
    refuse(rule, tmp_path, "d.txt", where={"source": "wiki"})


def test_another_field_may_hold_the_text(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", {"body": "a", "text": "b"})
    assert texts(tmp_path, "d.jsonl", field="body") == ["a"]


def test_the_format_may_be_given_where_the_name_does_not_tell(tmp_path: Path) -> None:
    write_lines(tmp_path / "lines.data", {"text": "a"})
    write_parquet(tmp_path / "table.data", text=["b"])
    assert texts(tmp_path, "lines.data", format="jsonl") == ["a"]
    assert texts(tmp_path, "table.data", format="parquet") == ["b"]
    assert texts(tmp_path, "lines.data", format="text") == ['{"text": "a"}\n']


def test_plain_text_is_cut_at_the_first_blank_line_after_enough_characters(
    tmp_path: Path,
) -> None:
    (tmp_path / "d.txt").write_text("12345\n\n67890\nabcde\n\nrest\n")
    found = read(tmp_path, "d.txt", document_characters=10)
    assert [(d.text, d.line) for d in found] == [("12345\n\n67890\nabcde\n\n", 1), ("rest\n", 6)]


def test_plain_text_without_blank_lines_is_cut_at_four_times_as_many(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("123456789\n" * 10)
    assert [len(text) for text in texts(tmp_path, "d.txt", document_characters=10)] == [40, 40, 20]


@given(st.text(alphabet="ab \n", min_size=1, max_size=200), st.integers(1, 50))
@settings(deadline=None, max_examples=50)
def test_plain_text_loses_and_adds_nothing(
    tmp_path_factory: pytest.TempPathFactory, text: str, characters: int
) -> None:
    folder = tmp_path_factory.mktemp("text")
    (folder / "d.txt").write_text(text)
    found = read(folder, "d.txt", document_characters=characters)
    assert "".join(d.text for d in found) == text
    lines = text.splitlines(keepends=True)
    assert all("".join(lines[d.line - 1 :]).startswith(d.text) for d in found)


@pytest.mark.parametrize("n_lines", [2, 3000])
def test_text_that_is_not_utf8_names_its_line(tmp_path: Path, n_lines: int) -> None:
    (tmp_path / "d.jsonl").write_bytes(b'{"text": "a"}\n' * n_lines + b'{"text": "\xe9"}\n')
    refuse(rf"d\.jsonl:{n_lines + 1}: not UTF-8 text .*: convert the file", tmp_path, "d.jsonl")


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "a"}\n')
    (tmp_path / "d.txt").write_bytes(b"\xef\xbb\xbfa\n")
    assert texts(tmp_path, "d.jsonl") == ["a"]
    assert texts(tmp_path, "d.txt") == ["a\n"]


def test_half_a_character_is_an_error_that_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "a"}\n{"text": "cut \\ud83d"}\n')
    refuse(r"d\.jsonl:2: ", tmp_path, "d.jsonl")


def compressed_lines() -> bytearray:
    rows = (json.dumps({"text": f"hello {i * 7919 % 1000}"}) + "\n" for i in range(3000))
    return bytearray(gzip.compress("".join(rows).encode(), mtime=0))


def test_a_truncated_compressed_file_is_named(tmp_path: Path) -> None:
    whole = compressed_lines()
    (tmp_path / "d.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    refuse(r"d\.jsonl\.gz: cannot be read after line \d+ .*: replace", tmp_path, "d.jsonl.gz")


def test_a_corrupt_compressed_file_is_named(tmp_path: Path) -> None:
    corrupt = compressed_lines()
    middle = len(corrupt) // 2
    corrupt[middle : middle + 50] = bytes(byte ^ 0xFF for byte in corrupt[middle : middle + 50])
    (tmp_path / "d.jsonl.gz").write_bytes(corrupt)
    refuse(r"d\.jsonl\.gz: cannot be read after line \d+", tmp_path, "d.jsonl.gz")


def test_a_file_that_only_claims_to_be_compressed_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl.gz").write_text('{"text": "a"}\n')
    refuse(r"d\.jsonl\.gz: cannot be read after line 0", tmp_path, "d.jsonl.gz")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").touch()
    refuse(r"`domains.math.files`: .*d\.jsonl is empty: remove it or fill it", tmp_path, "d.jsonl")


ROWS = b'{"text": "one", "n": [1, null]}\n{"text": "two \\u00e9", "n": {"a": 1.5}}\n'


TABLE = b'n,text\n1,"one, two"\n2,"a ""b"""\n'


COLUMNS = pa.table({"text": ["one", "two"], "n": [1, 2]})


def parquet_bytes() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(COLUMNS, sink)
    return bytes(sink.getvalue())


def arrow_bytes(new: Callable[[pa.NativeFile, pa.Schema], pa.ipc.RecordBatchStreamWriter]) -> bytes:
    sink = pa.BufferOutputStream()
    with new(sink, COLUMNS.schema) as writer:
        writer.write_table(COLUMNS)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.jsonl", ROWS),
        ("d.json", b"[" + ROWS.strip().replace(b"\n", b",") + b"]"),
        ("d.csv", TABLE),
        ("d.jsonl.gz", gzip.compress(ROWS, mtime=0)),
        ("d.parquet", parquet_bytes()),
        ("stream.arrow", arrow_bytes(pa.ipc.new_stream)),
        ("footed.arrow", arrow_bytes(pa.ipc.new_file)),
    ],
)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_damaged_bytes_give_documents_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        how = data.draw(st.sampled_from(["set", "cut", "insert"]))
        if how == "set":
            damaged[place] = data.draw(st.integers(0, 255))
        elif how == "insert":
            damaged[place:place] = data.draw(st.binary(min_size=1, max_size=8))
        elif place:
            del damaged[place:]
    folder = tmp_path_factory.mktemp("damaged")
    (folder / name).write_bytes(damaged)
    try:
        told = "".join(texts(folder, name))[:1000]
    except DataError as error:
        told = str(error)
        assert told.isprintable(), told
    assert len(told) <= 1000
