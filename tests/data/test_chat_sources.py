"""Conversations in every kind of file, read through the tokenizer's template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.rows import write_lines, write_parquet
from tests.data.templates import open_template

from mixwise.data.chat_template import ChatTemplate
from mixwise.data.recognition import recognise_source
from mixwise.data.sources import read_documents
from mixwise.errors import DataError
from mixwise.recipe import TextSource
from mixwise.records.record import Document

ASKED = {"role": "user", "content": "a"}
CALLED = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
ANSWERED = {"role": "assistant", "content": "b"}
TOLD = {"role": "tool", "content": "c"}
TURNS = [ASKED, CALLED, TOLD, ANSWERED]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> ChatTemplate:
    return open_template(tmp_path_factory.mktemp("qwen"), "qwen")


def read(folder: Path, file: str, template: ChatTemplate, **keys: Any) -> list[Document]:
    source = recognise_source(TextSource(files=(file,), **keys), folder, "domains.d")
    return list(read_documents(source, folder, "domains.d", template))


def test_parquet_gives_every_turn_all_keys_and_they_are_left_out(
    tmp_path: Path, template: ChatTemplate
) -> None:
    path = write_parquet(tmp_path / "d.parquet", id=[1, 2], messages=[TURNS, [ASKED, ANSWERED]])
    first, second = read(tmp_path, "d.parquet", template)
    write_lines(tmp_path / "d.jsonl", {"messages": TURNS}, {"messages": [ASKED, ANSWERED]})
    lines = read(tmp_path, "d.jsonl", template)
    assert [first.text, second.text] == [line.text for line in lines]
    assert [first.supervised, second.supervised] == [line.supervised for line in lines]
    assert (first.place, second.place) == (f"{path}:1", f"{path}:2")


def test_json_arrays_and_tables_are_read_alike(tmp_path: Path, template: ChatTemplate) -> None:
    rows = [{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}]
    (tmp_path / "d.json").write_text(json.dumps(rows))
    (tmp_path / "d.csv").write_text("instruction,input,output\na,,b\n")
    [array], [table] = (read(tmp_path, name, template) for name in ("d.json", "d.csv"))
    assert array.text == table.text
    assert array.text.endswith("<|im_start|>assistant\nb<|im_end|>\n")


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"messages": [ANSWERED, ASKED]}, r"d\.jsonl:2: `messages`: the roles are out of order"),
        ({"messages": [ASKED, ANSWERED | {"content": ""}]}, r"d\.jsonl:2: .* is an empty turn of"),
        ({"messages": None}, r"d\.jsonl:2: `messages` must be a list of turns, but got None"),
        (
            {"messages": [ASKED | {"content": 4}]},
            r"d\.jsonl:2: `messages.0.content` must be a text",
        ),
        ({"turns": [ASKED]}, r"d\.jsonl:2: the field `messages` is missing"),
        ({"messages": [ASKED]}, r"d\.jsonl:2: no turn of the assistant, so nothing to learn"),
    ],
)
def test_bad_rows_are_named_by_file_and_line(
    tmp_path: Path, template: ChatTemplate, row: dict[str, Any], rule: str
) -> None:
    write_lines(tmp_path / "d.jsonl", {"messages": TURNS}, row)
    with pytest.raises(DataError, match=rule):
        read(tmp_path, "d.jsonl", template)


def test_all_may_be_learned_of_prompts_with_completions_too(
    tmp_path: Path, template: ChatTemplate
) -> None:
    write_lines(tmp_path / "d.jsonl", {"prompt": "a", "completion": "b"})
    [found] = read(tmp_path, "d.jsonl", template)
    assert found.supervised == ((1, 2),)
    [whole] = read(tmp_path, "d.jsonl", template, learn="all")
    assert (whole.text, whole.supervised) == ("ab", None)
