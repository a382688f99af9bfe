from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from mixwise.errors import MixwiseError, ResourceError, StudyError
from mixwise.shortages import explain_failed_write, explain_shortage, find_shortage

FULL = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    sqlite3.OperationalError("database or disk is full"),
    RuntimeError("[enforce fail at inline_container.cc:668] . PytorchStreamWriter failed: "
                 "No space left on device"),
]  # fmt: skip
SHORT = [
    MemoryError(),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    RuntimeError("can't start new thread"),
    ImportError("libx.so: failed to map segment from shared object"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
]


@pytest.mark.parametrize("error", FULL, ids=str)
def test_a_full_disk_is_called_a_full_disk(error: Exception) -> None:
    text = str(explain_shortage(error, "study/ledger.sqlite"))
    assert text.startswith("study/ledger.sqlite: cannot be written (the disk is full")
    assert "nothing that was finished is lost" in text


@pytest.mark.parametrize("error", SHORT, ids=repr)
def test_memory_that_is_used_up_is_called_so(error: Exception) -> None:
    assert str(explain_shortage(error)).startswith("not enough memory (")


@pytest.mark.parametrize(
    "error", [ValueError("No luck"), OSError(errno.EACCES, "Permission denied"), RuntimeError("x")]
)
def test_other_errors_are_left_to_others(error: Exception) -> None:
    assert explain_shortage(error) is None


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_a_disk_that_does_not_answer_is_called_so(number: int) -> None:
    error = OSError(number, os.strerror(number), "s/run.json")
    text = str(explain_shortage(error))
    assert text.startswith("s/run.json: its folder is gone, or its disk does not answer (")
    assert "run the same command again" in text
    assert explain_shortage(OSError(number, "of a socket, which has no name")) is None


def test_a_folder_that_is_gone_is_told_from_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as gone:
        (tmp_path / "away" / "run.json").read_text()
    assert "its folder is gone" in str(explain_shortage(gone.value))
    assert explain_shortage(gone.value, "wherever the user says") is None
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "run.json").read_text()
    assert explain_shortage(missing.value) is None


def test_our_own_errors_are_not_explained_again() -> None:
    assert explain_shortage(StudyError("the disk is full of old studies")) is None


def test_a_place_for_reading_alone_is_no_full_disk() -> None:
    error = explain_failed_write(OSError(errno.EROFS, "Read-only file system"), "s")
    assert str(error).startswith("s: cannot be written (Read-only file system)")
    assert "free space" not in str(error)
    assert isinstance(error, MixwiseError)


def test_memory_is_found_behind_an_error_that_does_not_name_it() -> None:
    behind = StudyError("its tensors cannot be loaded")
    behind.__context__ = RuntimeError("can't start new thread")
    assert "not enough memory (can't start new thread)" in str(find_shortage(behind))
    assert find_shortage(StudyError("its tensors cannot be loaded")) is None
    behind.__context__ = ValueError("another cause")
    assert find_shortage(behind) is None


def test_an_error_that_names_the_shortage_is_left_as_it_is() -> None:
    error = ResourceError("the GPU is full: lower the batch")
    error.__cause__ = MemoryError()
    assert find_shortage(error) is None
