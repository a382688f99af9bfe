"""A slow disk without FUSE: its calls, as they come from there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from trials.faults import slow_disk
from trials.faults.slow_disk import Disk, hidden_of, set_failing


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(slow_disk, "_SECONDS", 0.0)
    monkeypatch.setattr(slow_disk, "_STALLS", 0.0)
    hidden = hidden_of(tmp_path / "place")
    hidden.mkdir()
    return Disk(hidden)


def test_what_is_written_is_kept_in_the_hidden_folder(disk: Disk, tmp_path: Path) -> None:
    disk.mkdir("/study", 0o755)
    handle = disk.create("/study/new", 0o644)
    assert disk.write("/study/new", b"words", 0, handle) == 5
    disk.fsync("/study/new", 0, handle)
    assert disk.read("/study/new", 3, 1, handle) == b"ord"
    disk.release("/study/new", handle)
    disk.rename("/study/new", "/study/old")
    hidden = hidden_of(tmp_path / "place") / "study"
    assert (hidden / "old").read_bytes() == b"words"
    assert disk.readdir("/study", 0) == [".", "..", "old"]
    found = disk.getattr("/study/old")
    assert found["st_size"] == 5
    assert found["st_mtime"] == (hidden / "old").stat().st_mtime_ns
    disk.unlink("/study/old")
    with pytest.raises(FileNotFoundError):
        disk.getattr("/study/old")


def test_every_call_fails_while_it_is_told_to(disk: Disk, tmp_path: Path) -> None:
    place = tmp_path / "place"
    set_failing(place, True)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        disk.readdir("/", 0)
    set_failing(place, False)
    assert disk.readdir("/", 0) == [".", ".."]


def test_now_and_then_a_call_takes_long(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setattr(slow_disk, "_STALLS", 0.25)
    for _ in range(200):
        disk.access("/", os.R_OK)
    assert 20 < sum(seconds == 1.0 for seconds in waited) < 80
