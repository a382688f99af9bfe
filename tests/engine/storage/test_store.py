from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
from tests.engine.storage.stores import Misbehaving, content_of, make_store

from mixwise.engine.storage import store as module
from mixwise.engine.storage.store import Content, Store, open_store
from mixwise.errors import DamagedError, MissingDependencyError, MixwiseWarning, ResourceError


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"some content")
    return path


def damage(files: Misbehaving, store: Store, content: bytes) -> None:
    files.pipe_file(store._path("key"), content)


def test_the_content_of_a_file_is_its_size_and_hash(file: Path) -> None:
    assert content_of(file) == Content(12, hashlib.sha256(b"some content").hexdigest())


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_what_is_put_there_comes_back_and_is_put_once(
    kind: str, file: Path, tmp_path: Path
) -> None:
    store = make_store()[0] if kind == "memory" else open_store(f"file://{tmp_path}/a store")
    content = content_of(file)
    assert not store.has("key", 12)
    assert store.read("note") is None
    store.require_usable()
    store.upload(file, "key", content)
    store.write("note", "text")
    assert store.has("key", 12)
    assert not store.has("key", 11)
    store.download("key", tmp_path / "new" / "copy", content)
    assert (tmp_path / "new" / "copy").read_bytes() == b"some content"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["copy"]
    assert store.read("note") == b"text"
    if kind == "folder":
        assert sorted(
            path.name for path in (tmp_path / "a store").rglob("*") if path.is_file()
        ) == [
            "key",
            "note",
        ]


def test_an_object_of_the_same_name_and_size_is_not_put_again(file: Path) -> None:
    store, files = make_store()
    store.upload(file, "key", content_of(file))
    files.room_bytes = 0
    store.upload(file, "key", content_of(file))


@pytest.mark.parametrize("found", [b"some conten", b"Some content", b""])
def test_an_object_that_is_cut_short_or_altered_is_named_and_leaves_no_file(
    found: bytes, file: Path, tmp_path: Path
) -> None:
    store, files = make_store()
    damage(files, store, found)
    with (
        pytest.warns(MixwiseWarning, match="tried again"),
        pytest.raises(DamagedError, match=r"^s3://bucket/key: is not what was written .*delete"),
    ):
        store.download("key", tmp_path / "copy", content_of(file))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_an_object_that_is_gone_is_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=r"^s3://bucket/key: .*it is missing"):
        make_store()[0].download("key", tmp_path / "copy", content_of(file))


def test_a_full_store_is_said_at_once(file: Path) -> None:
    store, files = make_store()
    files.room_bytes = 11
    with pytest.raises(ResourceError, match=r"s3://bucket/key: .*the store is full.*same command"):
        store.upload(file, "key", content_of(file))
    assert not store.has("key", 12)


def test_a_store_that_takes_no_more_by_its_own_words_is_full(file: Path) -> None:
    store, files = make_store()
    files.n_failures, files.error = 9, OSError("[Errno 5] XMinioStorageFull: out of space")
    with pytest.raises(ResourceError, match="the store is full"):
        store.write("key", "text")
    assert files.n_failures == 8


def test_no_rights_are_said_at_once(file: Path) -> None:
    store, files = make_store()
    files.n_failures, files.error = 9, PermissionError("Access Denied")
    with pytest.raises(ResourceError, match=r"Access Denied\): give this host credentials"):
        store.upload(file, "key", content_of(file))
    assert files.n_failures == 8


def test_a_lost_line_is_tried_again_and_said(file: Path) -> None:
    store, files = make_store()
    files.n_failures = 2
    with pytest.warns(MixwiseWarning, match=r"could not be written \(connection reset\)") as told:
        store.upload(file, "key", content_of(file))
    assert len(told) == 2
    assert store.has("key", 12)


def test_a_store_that_stays_away_is_given_up(file: Path) -> None:
    store, files = make_store()
    files.n_failures = 9
    with (
        pytest.warns(MixwiseWarning, match=r"[123] of 3"),
        pytest.raises(ResourceError, match=r"connection reset\), tried 4 times"),
    ):
        store.upload(file, "key", content_of(file))
    assert files.n_failures == 5


def test_a_store_that_hangs_is_left_after_its_time(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.02)
    store, files = make_store()
    files.seconds = 0.2
    with (
        pytest.warns(MixwiseWarning, match="no answer within 0 s"),
        pytest.raises(ResourceError, match=r"no answer within 0 s\), tried 4 times"),
    ):
        store.write("key", "text")
    time.sleep(0.25)  # the calls that were left behind end


def test_a_file_that_is_gone_is_no_fault_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make_store()[0].upload(tmp_path / "gone", "key", Content(1, "0"))


def test_others_of_a_folder_are_removed(file: Path) -> None:
    store, _ = make_store()
    for name in "abc":
        store.write(f"folder/{name}", name)
    store.remove_others("folder", frozenset("b"))
    assert [store.read(f"folder/{name}") for name in "abc"] == [None, b"b", None]
    store.remove_others("nothing", frozenset())


def test_an_address_of_no_known_store_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResourceError, match=r"`engine\.storage: nothing://a`: cannot be opened"):
        open_store("nothing://a")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mixwise\[storage\]'"):
        open_store("s3://a")
