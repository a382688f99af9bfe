import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixwise.data.recognition import recognise
from mixwise.data.sources import read_documents
from mixwise.errors import DataError, RecipeError
from mixwise.recipe import Domain
from mixwise.records.formats import FORMATS, RecordFormat, register_format
from mixwise.records.record import Document
from mixwise.records.row import FileRow, RowReader, Wanted, pick
from mixwise.section import Section
from mixwise.testing import check_record_format


class LetterFields(Section):
    """Of a letter."""

    greeting: str = "greeting"


def reader(fields: LetterFields, key: str) -> RowReader:
    wanted = Wanted(fields.greeting, f"{key}.fields.greeting")

    def read(row: FileRow) -> Document:
        text = f"{pick(row, wanted)}!"
        return Document(text, row.file, row.line, ((0, len(text) - 1),))

    return RowReader((wanted,), read)


LETTER = RecordFormat(
    "letter",
    Document,
    LetterFields,
    reader,
    lambda values: {"greeting": "salut"} if "salut" in values else None,
    is_partly_supervised=True,
)


@pytest.fixture
def letters() -> Iterator[None]:
    rows = dict(FORMATS._rows)
    register_format(LETTER)
    yield
    FORMATS._rows = rows


@pytest.mark.usefixtures("letters")
def test_a_format_of_ones_own_is_read_checked_and_recognised(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"salut": "hello"}) + "\n")
    source = Domain.model_validate(
        {"files": "d.jsonl", "records": "letter", "fields": {"greeting": "salut"}}
    )
    [document] = read_documents(source, tmp_path, "domains.d")
    assert document == Document("hello!", str(path), 1, ((0, 5),))
    assert recognise(path).records == "letter"
    with pytest.raises(ValueError, match=r"fields\.greetings"):
        Domain.model_validate(
            {"files": "d.jsonl", "records": "letter", "fields": {"greetings": "salut"}}
        )


def test_spans_that_would_be_passed_over_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps({"greeting": "hello"}) + "\n")
    hidden = RecordFormat("hidden", Document, LetterFields, reader)
    monkeypatch.setattr(FORMATS, "_rows", {**FORMATS._rows, "hidden": hidden})
    source = Domain.model_validate({"files": "d.jsonl", "records": "hidden"})
    with pytest.raises(DataError, match=r"d\.jsonl:1: the format `hidden` gives spans"):
        list(read_documents(source, tmp_path, "domains.d"))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("text", {"text": "a"}),
        ("choice", {"prompt": "a", "choices": ["b", "c"], "answer": 1}),
        ("prompt-completion", {"prompt": "a", "completion": "b"}),
        ("chat", {"messages": [{"role": "user", "content": "a"}]}),
        ("sharegpt", {"conversations": [{"from": "human", "value": "a"}]}),
        ("alpaca", {"instruction": "a", "input": "", "output": "b"}),
    ],
)
def test_own_formats_keep_the_contract(name: str, values: dict[str, object]) -> None:
    check_record_format(FORMATS.find(name), values)


def test_a_format_that_hides_its_spans_is_caught() -> None:
    row = RecordFormat("letter", Document, LetterFields, reader)
    with pytest.raises(AssertionError, match="set `is_partly_supervised`"):
        check_record_format(row, {"greeting": "a"})


@pytest.mark.parametrize(
    ("name", "learns"),
    [
        ("text", ("all",)),
        ("choice", ()),
        ("prompt-completion", ("completion", "all")),
        ("chat", ("assistant", "completion", "all")),
    ],
)
def test_what_can_be_learned_follows_from_the_format(name: str, learns: tuple[str, ...]) -> None:
    assert FORMATS.find(name).learns == learns


def test_names_are_taken_once_and_suggested() -> None:
    with pytest.raises(RecipeError, match="there is a record format `text` already"):
        register_format(RecordFormat("text", Document, LetterFields, reader))
    with pytest.raises(RecipeError, match="`prompt` is not a record format: did you mean"):
        FORMATS.find("prompt")
