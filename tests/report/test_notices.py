import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mixwise.report.contents import Notice
from mixwise.report.notices import load_notices, notices
from mixwise.report.reading import load_contents

MakeStudy = Callable[..., Path]


def test_notices_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "notices.json"
    assert load_notices(path) == ()
    rows = [{"text": "a", "command": "run", "time": "2026-01-01 12:00"}, {"text": "b"}]
    path.write_text(json.dumps({"notices": rows}))
    assert load_notices(path) == (Notice("a", "run", "2026-01-01 12:00"), Notice("b", "", ""))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"3", b"{}", b'{"notices": 3}', b"\xff\xfe\x00", b"[" * 100_000],
)
def test_a_damaged_file_is_a_notice_and_no_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notices.json"
    path.write_bytes(content)
    [found] = load_notices(path)
    assert found.text.startswith("notices.json: what commands did otherwise than asked cannot all")
    assert found.text.endswith("so it may be deleted")


@pytest.mark.parametrize("entry", ["text", None, 3, [], {}, {"text": 3}])
def test_a_damaged_entry_leaves_the_others(entry: object, tmp_path: Path) -> None:
    path = tmp_path / "notices.json"
    path.write_text(json.dumps({"notices": [{"text": "first"}, entry]}))
    first, second = load_notices(path)
    assert first.text == "first"
    assert "entry 2 has no text" in second.text


def test_every_part_of_a_notice_is_escaped(make_study: MakeStudy) -> None:
    contents = load_contents(make_study())
    hostile = Notice("<b>`<i>`", "<u>", "<s>")
    text = notices(replace(contents, notices=(hostile,)))
    assert "&lt;b&gt;<code>&lt;i&gt;</code>" in text
    assert "&lt;u&gt; · &lt;s&gt;" in text
    assert "<li>plain</li>" in notices(replace(contents, notices=(Notice("plain", "", ""),)))
