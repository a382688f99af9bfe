"""Arrays of numbers in ``.npy`` files, read as files that somebody else may have made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic

from mixwise.errors import DataError, first_line, printable

NUMBERS = "biuf"  # numpy's kinds: truth values, integers, floats
COUNTS = "iu"
_CACHED = "delete its folder, whose tokens are made anew from the data"


def load_array(path: Path, kinds: str, remedy: str) -> npt.NDArray[Any]:
    """Map an array from a file; nothing is unpickled, and memory is taken for what is there alone.

    Args:
        path: A ``.npy`` file.
        kinds: Letters of numpy's kinds that its values may be of.
        remedy: What to do, the end of the error's text.

    Raises:
        DataError: If the file cannot be read, is no such file, is shorter than its header says, or
            holds values of another kind.
    """
    try:
        dtype = _read_dtype(path)
        if dtype.kind in kinds:  # of values without a width the process would die
            array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
            return array
    except Exception as error:  # numpy's parser of headers raises errors of many kinds
        reason = printable(first_line(error), 120)
        raise DataError(f"{path}: cannot be read ({reason}): {remedy}") from None
    found, rule = printable(str(dtype), 40), "integers" if kinds == COUNTS else "numbers"
    raise DataError(f"{path}: must hold {rule}, but its values are of type {found}: {remedy}")


def _read_dtype(path: Path) -> np.dtype[Any]:
    """The type of the values, as the header says."""
    with path.open("rb") as file:
        read = read_array_header_1_0 if read_magic(file) == (1, 0) else read_array_header_2_0
        return read(file)[2]


def load_counts(path: Path) -> npt.NDArray[Any]:
    """Map a row of integers of the token cache, shape ``(n,)``.

    Raises:
        DataError: If the file holds no such row.
    """
    array = load_array(path, COUNTS, _CACHED)
    if array.ndim != 1:
        raise DataError(f"{path}: must have shape (n,), but has {array.shape}: {_CACHED}")
    return array
