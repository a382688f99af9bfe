"""Files: hashes of their content, and writing them whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from mixwise.errors import DataError
from mixwise.shortages import explain_failed_write

HashFile = Callable[[Path], str]


def hash_file(path: Path) -> str:
    """Hash the content of a file (BLAKE2b, 128 bits of it).

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}): change its permissions") from None


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file beside its place and move it there: a killed process leaves the old or the new.

    Args:
        path: The file; its folder exists.
        content: Text (written as UTF-8) or bytes.

    Raises:
        ResourceError: If it cannot be written, as on a full disk.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise explain_failed_write(error, path) from None
