import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.data.sources import read_documents, read_records
from mixwise.errors import DataError, MissingDependencyError
from mixwise.recipe import EvaluationSource, TextSource
from mixwise.records.choice import ChoiceFields
from mixwise.records.record import Document

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


def choose(folder: Path, *rows: object) -> Any:
    write_lines(folder / "q.jsonl", *rows)
    return list(
        read_records(
            EvaluationSource(files=("q.jsonl",), kind="choice"), folder, "evaluation.sets.quiz"
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
    source = EvaluationSource(files=(name,), format="parquet", kind="choice")
    (row,) = read_records(source, tmp_path, "k")
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


ARC = {
    "id": "7",
    "question": "Which is hot?",
    "choices": {"text": ["ice", "fire", "snow"], "label": ["1", "2", "3"]},
    "answerKey": "2",
}
ARC_FIELDS = {
    "prompt": "question",
    "choices": "choices.text",
    "answer": "answerKey",
    "labels": "choices.label",
    "separator": " ",
}
HELLASWAG = {"ctx": "A man", "endings": ["sits.", "runs.", "eats.", "sings."], "label": "3"}
HELLASWAG_FIELDS = {"prompt": "ctx", "choices": "endings", "answer": "label", "separator": " "}


def choices_of(folder: Path, name: str, fields: dict[str, Any], **more: Any) -> Any:
    source = EvaluationSource(files=(name,), kind="choice", fields=ChoiceFields(**fields), **more)
    return list(read_records(source, folder, "evaluation.sets.quiz"))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_rows_of_arc_and_hellaswag_are_read_as_they_lie_on_the_hub(
    tmp_path: Path, kind: str
) -> None:
    for name, row in (("arc", ARC), ("hellaswag", HELLASWAG)):
        path = tmp_path / f"{name}.{kind}"
        if kind == "jsonl":
            write_lines(path, row)
        else:
            pq.write_table(pa.Table.from_pylist([row]), path)
    (arc,) = choices_of(tmp_path, f"arc.{kind}", ARC_FIELDS)
    assert (arc.prompt, arc.choices, arc.answer) == ("Which is hot?", (" ice", " fire", " snow"), 1)
    (row,) = choices_of(tmp_path, f"hellaswag.{kind}", HELLASWAG_FIELDS)
    assert (row.prompt, row.choices[3], row.answer) == ("A man", " sings.", 3)


def test_choices_may_stand_in_a_field_each_or_in_a_list_of_objects(tmp_path: Path) -> None:
    write_lines(tmp_path / "piqa.jsonl", {"goal": "g", "sol1": "a", "sol2": "b", "label": 1})
    fields = {"prompt": "goal", "choices": ("sol1", "sol2"), "answer": "label"}
    (row,) = choices_of(tmp_path, "piqa.jsonl", fields)
    assert (row.choices, row.answer) == (("a", "b"), 1)
    nested = [{"label": "A", "text": "a"}, {"label": "B", "text": "b"}]
    write_lines(tmp_path / "csqa.jsonl", {"q": {"stem": "s", "choices": nested}, "key": "B"})
    fields = {"prompt": "q.stem", "choices": "q.choices.text", "answer": "key"}
    (row,) = choices_of(tmp_path, "csqa.jsonl", fields | {"labels": "q.choices.label"})
    assert (row.prompt, row.choices, row.answer) == ("s", ("a", "b"), 1)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"answerKey": "4"}, "`answerKey` must be one of the 3 labels in `choices.label`, but got"),
        ({"answerKey": None}, "`answerKey` must be one of the 3 labels"),
        ({"choices": {"text": ["a", "b"], "label": ["1", "1"]}}, "must be one of the 2 labels"),
        ({"choices": {"label": ["1"]}}, r"`choices.text` is missing \(`.*\.fields\.choices`\)"),
    ],
)
def test_answers_by_label_are_looked_up_exactly(
    tmp_path: Path, change: dict[str, Any], rule: str
) -> None:
    write_lines(tmp_path / "arc.jsonl", ARC | change)
    with pytest.raises(DataError, match=rf"arc\.jsonl:1: .*{rule}"):
        choices_of(tmp_path, "arc.jsonl", ARC_FIELDS)


@pytest.mark.parametrize("label", ["", "-1", "4", "1.0", "²", "99999"])
def test_an_answer_in_digits_is_the_index_of_a_choice(tmp_path: Path, label: str) -> None:
    write_lines(tmp_path / "h.jsonl", HELLASWAG | {"label": label})
    with pytest.raises(DataError, match=r"h\.jsonl:1: `label` must be the index of a choice"):
        choices_of(tmp_path, "h.jsonl", HELLASWAG_FIELDS)


def test_a_prompt_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`prompt` has 1,000,001 characters, .*: shorten it"):
        choose(tmp_path, question(prompt="a" * 1_000_001))


def test_nested_fields_and_names_with_dots_are_found(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", {"meta": {"body": "a"}}, {"meta.body": "b", "meta": {}})
    assert texts(tmp_path, "d.jsonl", field="meta.body") == ["a", "b"]
    write_parquet(tmp_path / "n.parquet", meta=[{"body": "a", "n": 1}], other=[2])
    assert texts(tmp_path, "n.parquet", field="meta.body") == ["a"]
    write_parquet(tmp_path / "d.parquet", **{"meta.body": ["b"]})
    assert texts(tmp_path, "d.parquet", field="meta.body") == ["b"]


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


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_every_kind_of_string_column_is_text(tmp_path: Path, kind: Any) -> None:
    column = pa.array(["a", "b"]).cast(kind)
    pq.write_table(pa.table({"text": column}), tmp_path / "d.parquet")
    assert texts(tmp_path, "d.parquet") == ["a", "b"]


def test_a_byte_column_is_no_text(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d.parquet", text=[b"a"])
    refuse(r"d\.parquet:1: `text` must be a text, but got bytes", tmp_path, "d.parquet")


ROWS = b'{"text": "one", "n": [1, null]}\n{"text": "two \\u00e9", "n": {"a": 1.5}}\n'
TABLE = b'n,text\n1,"one, two"\n2,"a ""b"""\n'


def parquet_bytes() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": ["one", "two"], "n": [1, 2]}), sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.jsonl", ROWS),
        ("d.json", b"[" + ROWS.strip().replace(b"\n", b",") + b"]"),
        ("d.csv", TABLE),
        ("d.jsonl.gz", gzip.compress(ROWS, mtime=0)),
        ("d.parquet", parquet_bytes()),
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
