from typing import Any

import pytest

from mixwise.errors import DataError
from mixwise.records.record import Document
from mixwise.records.row import FileRow
from mixwise.records.text import TextFields, likely_texts, reader, recognise


def test_the_whole_text_is_learned() -> None:
    found = reader(TextFields(text="meta.body"), "domains.d").read(
        FileRow({"meta": {"body": " a"}}, "d", 2)
    )
    assert found == Document(" a", "d", 2)
    assert found.supervised is None


@pytest.mark.parametrize("value", [None, 1, ["a"], {"a": "b"}])
def test_what_is_no_text_is_refused_by_its_key(value: Any) -> None:
    with pytest.raises(DataError, match=r"d:2: `text` must be a text, .*`domains\.d\.field`"):
        reader(TextFields(), "domains.d").read(FileRow({"text": value}, "d", 2))


@pytest.mark.parametrize(
    ("values", "likely"),
    [
        ({"id": "1", "story": "a"}, ["story"]),
        ({"content": "a", "summary": "b"}, ["content"]),
        ({"abstract": "a", "summary": "b"}, ["abstract", "summary"]),
        ({"file_name": "a", "n": 1}, []),
    ],
)
def test_a_text_is_what_is_not_about_the_row(values: dict[str, Any], likely: list[str]) -> None:
    assert likely_texts(values) == likely
    assert recognise(values) == ({"text": likely[0]} if len(likely) == 1 else None)
