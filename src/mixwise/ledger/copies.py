"""Copies of a ledger, for whoever may not write beside it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path


def copy_to_memory(path: Path) -> sqlite3.Connection:
    """What a ledger holds now, without writing anything beside it; nothing where there is none.

    A write-ahead log beside the file is read too. SQLite wants to write next to it, and where that
    is not allowed, a copy of both is read.
    """
    memory = sqlite3.connect(":memory:", isolation_level=None)
    log = path.with_name(f"{path.name}-wal")
    if not path.is_file():
        return memory
    if not log.exists():  # nobody has it open
        return _fill(memory, path, "immutable=1")
    try:
        return _fill(memory, path, "mode=ro")
    except sqlite3.OperationalError:
        with tempfile.TemporaryDirectory() as folder:
            for file in (path, log):
                shutil.copyfile(file, Path(folder, file.name))
            return _fill(memory, Path(folder, path.name), "mode=ro")


def _fill(memory: sqlite3.Connection, path: Path, mode: str) -> sqlite3.Connection:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as source:
        source.backup(memory)
    return memory
