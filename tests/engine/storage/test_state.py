from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine.storage.stores import make_store

from mixwise.engine.storage.state import Written, bring, find_state, publish
from mixwise.engine.storage.store import Store, hash_sha256
from mixwise.errors import DamagedError, ResourceError
from mixwise.files import seal


def write(folder: Path, **files: str) -> tuple[str, ...]:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return tuple(files)


def objects(store: Store, files: object, folder: str) -> int:
    return len([path for path in files.find(store._path(folder)) if path])  # type: ignore[attr-defined]


def test_a_state_comes_back_whole_in_the_place_of_what_is_there(tmp_path: Path) -> None:
    store, _ = make_store()
    written = Written(3, False, write(tmp_path / "a", one="1", mark=""))
    assert find_state("key", store) is None
    publish(written, tmp_path / "a", "key", store, hash_sha256)
    state = find_state("key", store)
    assert state is not None
    assert state.written == written
    write(tmp_path / "b", old="x")
    bring(state, tmp_path / "b", "key", store)
    assert {p.name: p.read_text() for p in (tmp_path / "b").iterdir()} == {"one": "1", "mark": ""}


def test_a_state_that_goes_further_takes_the_place_of_the_last(tmp_path: Path) -> None:
    store, files = make_store()
    for step, text in ((1, "one"), (2, "two")):
        names = write(tmp_path, weights=text, same="s")
        publish(Written(step, False, names), tmp_path, "key", store, hash_sha256)
        assert objects(store, files, "runs/key/files") == 2
    publish(Written(3, True, names), tmp_path, "key", store, hash_sha256)
    assert objects(store, files, "runs/key/files") == 0
    assert objects(store, files, "objects") == 2
    assert Written(1, True, ()).reach > Written(9, False, ()).reach > Written(8, False, ()).reach


def test_without_a_manifest_nothing_counts(tmp_path: Path) -> None:
    store, files = make_store()
    names = write(tmp_path, weights="12345", mark="m")
    files.room_bytes = 5
    with pytest.raises(ResourceError, match="the store is full"):
        publish(Written(1, False, names), tmp_path, "key", store, hash_sha256)
    assert find_state("key", store) is None


def test_a_snapshot_that_is_removed_meanwhile_is_left_out(tmp_path: Path) -> None:
    store, _ = make_store()
    written = Written(1, False, ("gone",))
    assert publish(written, tmp_path, "key", store, hash_sha256) is None
    assert find_state("key", store) is None


@pytest.mark.parametrize("name", ["/etc/file", "../file", "a/../../file"])
def test_a_manifest_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    store, _ = make_store()
    manifest = {"step": 1, "is_finished": False, "files": {name: [0, "0"]}}
    store.write("runs/key/manifest.json", seal(manifest))
    with pytest.raises(DamagedError, match="names a file outside of its folder"):
        find_state("key", store)


def test_a_damaged_manifest_is_named() -> None:
    store, _ = make_store()
    store.write("runs/key/manifest.json", seal({"step": 1}).replace("1", "2"))
    with pytest.raises(DamagedError, match=r"s3://bucket/runs/key/manifest\.json: is damaged"):
        find_state("key", store)
