from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.conftest import write_texts

from mixwise.data.hub import KeptStream, keep_stream, read_class_names
from mixwise.data.sources import read_documents
from mixwise.errors import DataError
from mixwise.recipe import ColumnDomains, HubDataset, TextSource
from mixwise.study.label_names import read_labels, read_numbered

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # `datasets` leaves files open


def test_datasets_are_read_by_the_library_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "corpus").mkdir()
    write_texts(tmp_path / "corpus" / "train.jsonl", ["one", "two"])
    source = TextSource(hub=HubDataset(dataset=str(tmp_path / "corpus")))
    documents = list(read_documents(source, tmp_path, "domains.a"))
    assert [document.text for document in documents] == ["one", "two"]


def test_a_dataset_that_cannot_be_had_is_a_clear_error(tmp_path: Path) -> None:
    source = TextSource(hub=HubDataset(dataset=str(tmp_path / "nothing")))
    with pytest.raises(DataError, match=r"`domains\.a\.hub`: `.*/nothing` cannot be read"):
        list(read_documents(source, tmp_path, "domains.a"))


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch) -> HubDataset:
    """A dataset that keeps numbers of labels, in an order of its own; -1 for none."""
    import datasets

    columns = {"text": ["one", "two", "six"], "label": [1, 0, -1], "kind": [1, 1, 0]}
    label, kind = datasets.ClassLabel(names=["world", "arts"]), datasets.ClassLabel(num_classes=2)
    features = datasets.Features({"text": datasets.Value("string"), "label": label, "kind": kind})
    table = datasets.Dataset.from_dict(columns, features)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: table)
    return HubDataset(dataset="org/news")


def test_numbers_of_labels_are_read_as_their_names(tmp_path: Path, numbered: HubDataset) -> None:
    source = TextSource(hub=numbered).read_as("labelled", {})
    documents = list(read_documents(source, tmp_path, "domains.a"))
    assert [document.label for document in documents] == ["arts", "world", "-1"]
    assert list(read_labels(source, tmp_path, "domains.a")) == ["arts", "world", "-1"]
    assert read_numbered(source, "domains.a") == ("world", "arts")
    assert read_class_names(numbered, "domains.a", "text") == ()
    chosen = TextSource(hub=numbered, where={"kind": 1}).read_as("labelled", {})
    assert list(read_labels(chosen, tmp_path, "domains.a")) == ["arts", "world"]
    plain = TextSource(hub=numbered, where={"label": 1})  # of no label, but a text
    assert [d.text for d in read_documents(plain, tmp_path, "domains.a")] == ["one"]


def test_images_of_the_hub_have_names_of_labels_and_no_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    from PIL import Image

    label = datasets.ClassLabel(names=["cat", "dog"])
    Image.new("RGB", (2, 2)).save(tmp_path / "1.png")
    stored = {"bytes": (tmp_path / "1.png").read_bytes(), "path": None}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / "1.png").rename(tmp_path / "org" / "1.png")  # where a path would seem to lead
    source = TextSource(hub=HubDataset(dataset="org/pets")).read_as("image", {})
    for kind, value in ((datasets.Image(), stored), (datasets.Value("string"), "1.png")):
        features = datasets.Features({"image": kind, "label": label})
        table = datasets.Dataset.from_dict({"image": [value], "label": [1]}, features)
        monkeypatch.setattr(datasets, "load_dataset", lambda *_, table=table, **__: table)
        if value == "1.png":
            with pytest.raises(DataError, match="no part of the dataset, but a file elsewhere"):
                list(read_documents(source, tmp_path, "domains.a"))
        else:
            [document] = read_documents(source, tmp_path, "domains.a")
            assert document.label == "dog"


Reader = Callable[..., KeptStream]


@pytest.fixture
def stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Streams `upstream.jsonl` as `org/texts`, by `datasets` itself."""
    import datasets

    load = datasets.load_dataset
    asked: list[bool] = []

    def load_dataset(name: str, config: str | None, **settings: Any) -> Any:
        assert (name, config) == ("org/texts", None)
        asked.append(settings["streaming"])
        files = str(tmp_path / "upstream.jsonl")
        return load("json", data_files=files, split="train", streaming=True)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)

    def read(rows: int) -> KeptStream:
        hub = HubDataset(dataset="org/texts", stream_rows=rows)
        kept = keep_stream(hub, "domains.a", tmp_path / "cache")
        assert asked
        assert all(asked)
        return kept

    read.asked = asked  # type: ignore[attr-defined]
    return read


def test_the_first_rows_of_a_stream_are_read_once_and_kept(tmp_path: Path, stream: Any) -> None:
    write_texts(tmp_path / "upstream.jsonl", [f"text {k} é\u2028" for k in range(9)])
    kept = stream(4)
    assert (kept.n_rows, kept.is_whole) == (4, False)
    source = kept.source(TextSource(hub=HubDataset(dataset="org/texts", stream_rows=4)))
    found = list(read_documents(source, tmp_path, "domains.a"))
    assert [d.text for d in found] == [f"text {k} é\u2028" for k in range(4)]
    assert found[2].place.endswith("/rows.jsonl:3")
    assert "org-texts" in found[2].file
    assert stream(4) == kept
    assert len(stream.asked) == 1
    assert stream(5).n_rows == 5


@pytest.mark.parametrize("rows", [9, 30])
def test_a_stream_that_ends_is_whole(tmp_path: Path, stream: Reader, rows: int) -> None:
    write_texts(tmp_path / "upstream.jsonl", [f"text {k}" for k in range(9)])
    kept = stream(rows)
    assert (kept.n_rows, kept.is_whole) == (9, True)


@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_rows_that_were_lost_must_be_the_same_when_they_are_read_again(
    tmp_path: Path, stream: Reader, damage: str
) -> None:
    write_texts(tmp_path / "upstream.jsonl", ["one", "two", "three"])
    kept = stream(2)
    if damage == "lost":
        kept.file.unlink()
    else:
        kept.file.write_text(kept.file.read_text().replace("one", "uno"))
    assert stream(2) == kept
    assert "one" in kept.file.read_text()
    kept.file.unlink()
    write_texts(tmp_path / "upstream.jsonl", ["one", "zwei", "three"])
    with pytest.raises(DataError, match=r"`domains\.a\.hub`: `org/texts` gives other rows now"):
        stream(2)
    assert not kept.file.exists()


def test_values_that_json_does_not_hold_are_texts_or_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    day = datetime.date(2026, 1, 2)
    rows = {"text": ["a", "b"], "day": [day, day], "image": [b"x", b"y"], "n": [1, None]}
    table = datasets.Dataset.from_dict(rows).to_iterable_dataset()
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: table)
    hub = HubDataset(dataset="org/pictures", stream_rows=5)
    kept = keep_stream(hub, "domains.a", tmp_path / "cache")
    assert kept.left_out == ("image",)
    lines = [json.loads(line) for line in kept.file.read_text().splitlines()]
    assert lines == [
        {"text": "a", "day": "2026-01-02", "n": 1},
        {"text": "b", "day": "2026-01-02", "n": None},
    ]


def test_an_empty_stream_and_a_folder_are_refused(tmp_path: Path, stream: Reader) -> None:
    (tmp_path / "upstream.jsonl").write_text("")
    with pytest.raises(DataError, match=r"`domains\.a\.hub`: `org/texts`"):
        stream(2)
    assert not list((tmp_path / "cache" / "streams").iterdir())
    local = HubDataset(dataset=str(tmp_path), stream_rows=2)
    with pytest.raises(DataError, match=r"`domains\.a\.hub\.stream_rows`: .* name its files"):
        keep_stream(local, "domains.a", tmp_path / "cache")


def test_a_column_cannot_split_a_stream() -> None:
    with pytest.raises(ValidationError, match="values that come later would be missed"):
        ColumnDomains.model_validate(
            {"hub": {"dataset": "org/texts", "stream_rows": 3}, "column": "source"}
        )
