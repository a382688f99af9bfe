from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine.storage.stores import content_of, make_store

from mixwise.engine.storage.host import HostFolder, Item
from mixwise.errors import DamagedError, ResourceError


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostFolder:
    monkeypatch.setenv("MIXWISE_CACHE", str(tmp_path / "cache"))
    return HostFolder("study")


def test_a_file_is_fetched_once_and_again_when_it_has_changed(
    host: HostFolder, tmp_path: Path
) -> None:
    store, files = make_store()
    source = tmp_path / "base" / "model"
    source.parent.mkdir()
    source.write_text("one")
    item = Item(str(source), content_of(source))
    store.upload(source, item.key, item.content)
    host.fetch(item, store)
    place = host.place(source)
    assert place.is_relative_to(tmp_path / "cache")
    assert place.read_text() == "one"
    files.rm_file(store._path(item.key))
    host.fetch(item, store)  # from nowhere: it is there
    place.write_text("two")
    with pytest.raises(DamagedError, match="it is missing"):
        host.fetch(item, store)


def test_studies_of_one_host_are_kept_apart(host: HostFolder) -> None:
    other = HostFolder("another")
    assert host.place(Path("/a")) != other.place(Path("/a"))


def test_a_cache_that_cannot_be_made_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MIXWISE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match=r"hosts.*: cannot be written"):
        HostFolder("study")
