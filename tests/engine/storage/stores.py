"""Stores for tests: in memory, and ones that misbehave."""

from __future__ import annotations

import errno
import time
import uuid
from pathlib import Path
from typing import Any

from fsspec.implementations.memory import MemoryFileSystem

from mixwise.engine.storage.store import Content, Store, hash_sha256


class Misbehaving(MemoryFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """A file system in memory that is full, slow or closed, as a test sets it."""

    cachable = False
    room_bytes = 10**9
    seconds = 0.0
    n_failures = 0
    error: Exception = OSError("connection reset")

    def pipe_file(self, path: str, value: bytes, **more: Any) -> None:
        self._misbehave(len(value))
        super().pipe_file(path, value, **more)

    def put_file(self, lpath: str, rpath: str, **more: Any) -> None:
        self._misbehave(Path(lpath).stat().st_size)
        super().put_file(lpath, rpath, **more)

    def _misbehave(self, n_bytes: int) -> None:
        time.sleep(self.seconds)
        if self.n_failures:
            self.n_failures -= 1
            raise self.error
        self.room_bytes -= n_bytes
        if self.room_bytes < 0:
            raise OSError(errno.ENOSPC, "No space left on device")


def make_store() -> tuple[Store, Misbehaving]:
    files = Misbehaving()
    return Store(files, f"/{uuid.uuid4().hex}", "s3://bucket"), files


def content_of(path: Path) -> Content:
    return Content(path.stat().st_size, hash_sha256(path))
