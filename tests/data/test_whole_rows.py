from __future__ import annotations

import json
from pathlib import Path

from mixwise.data.whole_rows import read_whole_rows
from mixwise.recipe import TextSource, portions


def test_rows_keep_all_columns_and_conditions_choose_them(tmp_path: Path) -> None:
    rows = [{"text": f"text {k}", "source": "ab"[k % 2], "more": [k]} for k in range(4)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = TextSource(files=("rows.jsonl",), where={"source": "b"})
    [portion] = portions(source, "domains.mine")
    found = list(read_whole_rows(portion, tmp_path, None))
    assert [row.values for row in found] == [rows[1], rows[3]]
    assert [row.document.place for row in found] == [
        f"{tmp_path / 'rows.jsonl'}:2",
        f"{tmp_path / 'rows.jsonl'}:4",
    ]


def test_plain_text_is_rows_of_its_documents(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("one one\n\ntwo two\n\n")
    source = TextSource(files=("plain.txt",), document_characters=8)
    [portion] = portions(source, "domains.mine")
    found = list(read_whole_rows(portion, tmp_path, None))
    assert [row.values["text"].split()[0] for row in found] == ["one", "two"]
    assert all(row.record is row.document for row in found)
