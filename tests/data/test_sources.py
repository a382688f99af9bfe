import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.data.matching import resolve_files
from mixwise.data.sources import Document, read_choices, read_documents
from mixwise.errors import DataError, MissingDependencyError
from mixwise.recipe import EvaluationSet, TextSource

KEY = "domains.math"


def read(folder: Path, *files: str, **settings: Any) -> list[Document]:
    return list(read_documents(TextSource(files=files, **settings), folder, KEY))


def texts(folder: Path, *files: str, **settings: Any) -> list[str]:
    return [document.text for document in read(folder, *files, **settings)]


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def refuse(rule: str, folder: Path, *files: str, **settings: Any) -> None:
    with pytest.raises(DataError, match=rule):
        read(folder, *files, **settings)


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


def test_rows_of_parquet_are_documents(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "d.parquet", body=[f"row {i}" for i in range(3000)], n=[1] * 3000
    )
    found = read(tmp_path, "d.parquet", field="body")
    assert len(found) == 3000
    assert found[2999] == Document("row 2999", str(path), 3000)


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


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").touch()
    refuse(r"`domains.math.files`: .*d\.jsonl is empty: remove it or fill it", tmp_path, "d.jsonl")


@pytest.mark.parametrize("pattern", ["none.jsonl", "*.jsonl", "folder"])
def test_a_pattern_without_a_file_is_named(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "folder").mkdir()
    rule = rf"`domains.math.files`: `{re.escape(pattern)}` matches no file in .*: correct the path"
    refuse(rule, tmp_path, pattern)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def resolve(folder: Path, *patterns: str) -> list[str]:
    return [p.relative_to(folder).as_posix() for p in resolve_files(patterns, folder, "k")]


def test_files_are_sorted_within_a_pattern_and_patterns_keep_their_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.txt", "a.txt", "z/c.txt", "z/deep/d.txt")
    assert resolve(tmp_path, "z/*.txt", "*.txt") == ["z/c.txt", "a.txt", "b.txt"]
    assert resolve(tmp_path, "**/*.txt") == ["a.txt", "b.txt", "z/c.txt", "z/deep/d.txt"]


def test_a_file_is_read_once_however_many_patterns_name_it(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt", "b.txt")
    assert resolve(tmp_path, "b.txt", "*.txt", "./b.txt") == ["b.txt", "a.txt"]


def test_an_absolute_path_stands_for_itself(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt")
    assert resolve_files([str(tmp_path / "a.txt")], Path("/elsewhere"), "k") == (
        tmp_path / "a.txt",
    )


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.txt")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_files(["~/a.txt"], Path(os.sep), "k") == (tmp_path / "a.txt",)


def test_a_file_may_be_named_like_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].txt")
    assert resolve(tmp_path, "a[1].txt") == ["a[1].txt"]


def test_the_recipe_may_lie_in_a_folder_named_like_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "run[1]/a.txt")
    assert resolve(tmp_path / "run[1]", "*.txt") == ["a.txt"]


def choose(folder: Path, *rows: object) -> Any:
    write_lines(folder / "q.jsonl", *rows)
    return list(
        read_choices(
            EvaluationSet(files=("q.jsonl",), kind="choice"), folder, "evaluation.sets.quiz"
        )
    )


def question(**changes: Any) -> dict[str, Any]:
    return {"prompt": "2+2=", "choices": ["3", "4"], "answer": 1} | changes


def test_choice_rows_come_with_their_place(tmp_path: Path) -> None:
    (row,) = choose(tmp_path, question(source="book"))
    assert (row.prompt, row.choices, row.answer) == ("2+2=", ("3", "4"), 1)
    assert row.place == f"{tmp_path / 'q.jsonl'}:1"


@pytest.mark.parametrize("name", ["q.parquet", "q.data"])
def test_choice_rows_of_parquet(tmp_path: Path, name: str) -> None:
    write_parquet(tmp_path / name, prompt=["p"], choices=[["a", "b", "c"]], answer=[2])
    source = EvaluationSet(files=(name,), format="parquet", kind="choice")
    (row,) = read_choices(source, tmp_path, "k")
    assert (row.choices, row.answer) == (("a", "b", "c"), 2)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"prompt": ""}, "`prompt` must be a non-empty text, but got ''"),
        ({"prompt": 3}, "`prompt` must be a non-empty text, but got 3"),
        ({"choices": ["4"]}, "`choices` must be two or more non-empty texts, but got"),
        ({"choices": ["4", ""]}, "`choices` must be two or more"),
        ({"choices": ["4", 3]}, "`choices` must be two or more"),
        ({"choices": "34"}, "`choices` must be two or more non-empty texts, but got '34'"),
        ({"choices": 34}, "`choices` must be two or more non-empty texts, but got 34"),
        ({"choices": None}, "`choices` must be two or more non-empty texts, but got None"),
        ({"choices": {"text": ["3", "4"], "label": ["A", "B"]}}, "`choices` must be two or more"),
        ({"answer": 2}, "`answer` must be the index of a choice, from 0 to 1, but got 2"),
        ({"answer": -1}, "`answer` must be the index of a choice"),
        ({"answer": True}, "`answer` must be the index of a choice, .* but got True"),
        ({"answer": "B"}, "`answer` must be the index of a choice, .* but got 'B'"),
        ({"answer": 1.0}, "`answer` must be the index of a choice"),
    ],
)
def test_a_choice_row_that_breaks_a_rule_names_its_line(
    tmp_path: Path, change: dict[str, Any], rule: str
) -> None:
    with pytest.raises(DataError, match=rf"q\.jsonl:2: {rule}"):
        choose(tmp_path, question(), question(**change))


@pytest.mark.parametrize("name", ["prompt", "choices", "answer"])
def test_a_choice_row_needs_all_its_fields(tmp_path: Path, name: str) -> None:
    row = question()
    row[f"{name}s"] = row.pop(name)
    with pytest.raises(DataError, match=rf"q\.jsonl:1: the field `{name}` is missing .*`{name}s`"):
        choose(tmp_path, row)
