from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import write_texts

from mixwise.data.sources import read_documents
from mixwise.errors import DataError
from mixwise.recipe import HubDataset, TextSource


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # `datasets` leaves its files open
def test_datasets_are_read_by_the_library_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "corpus").mkdir()
    write_texts(tmp_path / "corpus" / "train.jsonl", ["one", "two"])
    source = TextSource(hub=HubDataset(dataset=str(tmp_path / "corpus")))
    documents = list(read_documents(source, tmp_path, "domains.a"))
    assert [document.text for document in documents] == ["one", "two"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_dataset_that_cannot_be_had_is_a_clear_error(tmp_path: Path) -> None:
    source = TextSource(hub=HubDataset(dataset=str(tmp_path / "nothing")))
    with pytest.raises(DataError, match=r"`domains\.a\.hub`: `.*/nothing` cannot be read"):
        list(read_documents(source, tmp_path, "domains.a"))
