from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from mixwise.data.arrays import NUMBERS, load_array, load_counts
from mixwise.errors import DataError


def write(path: Path, descr: object, shape: object, values: bytes) -> Path:
    """A file whose header says what it is told to."""
    head = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + values)
    return path


@pytest.mark.parametrize("values", [[3, 1, 2], [], [2**63]])
def test_what_was_saved_is_loaded(values: list[int], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(values, dtype=np.uint64))
    assert load_counts(tmp_path / "a.npy").tolist() == values


@pytest.mark.parametrize(
    ("descr", "shape", "values", "what"),
    [
        ("|O", (1,), pickle.dumps(["x"]), r"its values are of type object: mend it"),
        ("<U0", (3,), b"", r"its values are of type <U0: mend it"),  # a process died of it
        ("<i8", (10**12,), bytes(8), r"a\.npy: cannot be read \("),
        ("<i8", (10**30,), bytes(8), r"a\.npy: cannot be read \("),
        ("<i8", ("a",), bytes(8), r"a\.npy: cannot be read \("),
        ("x", (1,), bytes(8), r"a\.npy: cannot be read \("),
    ],
)
def test_a_header_that_lies_is_refused(
    descr: str, shape: object, values: bytes, what: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=what) as raised:
        load_array(write(tmp_path / "a.npy", descr, shape, values), NUMBERS, "mend it")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY\x01\x00\x05\x00{"])
def test_what_is_no_such_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy: cannot be read \(.*: mend it"):
        load_array(tmp_path / "a.npy", NUMBERS, "mend it")


def test_counts_are_a_row_of_integers(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.zeros((2, 2), dtype=np.int64))
    with pytest.raises(DataError, match=r"must have shape \(n,\), but has \(2, 2\): delete its fo"):
        load_counts(file)
    np.save(file, np.zeros(2))
    with pytest.raises(DataError, match="must hold integers, but its values are of type float64"):
        load_counts(file)
