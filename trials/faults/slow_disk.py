"""A disk that answers slowly, and for a time not at all: a folder that is seen through FUSE.

``python -m trials.faults.slow_disk HIDDEN SEEN`` shows the folder HIDDEN at SEEN until that is
unmounted. Each call waits some milliseconds, and every so often one waits for a second, as on a
network's disk that others use too. While the file HIDDEN.fails exists, every call fails (EIO).
Needs mfusepy, libfuse and root.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SECONDS = 0.002  # of a call
_STALL_SECONDS = 1.0
_STALLS = 0.002  # part of the calls
_PATIENCE_SECONDS = 60.0


def can_be_slow() -> bool:
    """Whether such a disk can be made here."""
    has_fuse = importlib.util.find_spec("mfusepy") is not None and Path("/dev/fuse").exists()
    return has_fuse and os.geteuid() == 0


@contextmanager
def slow_disk(seen: Path) -> Iterator[None]:
    """Put such a disk in the place of an empty folder, for a while."""
    hidden = hidden_of(seen)
    hidden.mkdir()
    server = subprocess.Popen([sys.executable, "-m", __name__, str(hidden), str(seen)])
    until = time.monotonic() + _PATIENCE_SECONDS
    while not seen.is_mount():
        if time.monotonic() > until or server.poll() is not None:
            raise SystemExit("a slow disk could not be made")
        time.sleep(0.1)
    try:
        yield
    finally:
        set_failing(seen, False)
        subprocess.run(["umount", "-l", str(seen)], check=True)
        server.kill()
        server.wait()
        shutil.rmtree(hidden)


def hidden_of(seen: Path) -> Path:
    """Where the files of a slow disk are kept."""
    return seen.with_name(f"{seen.name}-hidden")


def set_failing(seen: Path, told: bool) -> None:
    """Let every call fail from now on, or no longer."""
    mark = _mark_of(hidden_of(seen))
    if told:
        mark.touch()
    else:
        mark.unlink(missing_ok=True)


def _mark_of(hidden: Path) -> Path:
    return hidden.with_name(f"{hidden.name}.fails")


def _slowly(call: Callable[..., Any]) -> Callable[..., Any]:
    """A call of the disk that waits first, or fails."""

    def answer(disk: Disk, path: str, *arguments: Any) -> Any:
        time.sleep(_STALL_SECONDS if random.random() < _STALLS else _SECONDS)
        if disk.mark.exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return call(disk, disk.root + path, *arguments)

    return answer


class Disk:
    """What FUSE calls: each does to a file of the hidden folder what was asked for."""

    use_ns = True

    def __init__(self, hidden: Path) -> None:
        self.root, self.mark = str(hidden), _mark_of(hidden)

    @_slowly
    def access(self, path: str, mode: int) -> int:
        return 0 if os.access(path, mode) else -errno.EACCES

    @_slowly
    def chmod(self, path: str, mode: int) -> int:
        os.chmod(path, mode)
        return 0

    @_slowly
    def create(self, path: str, mode: int, info: Any = None) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

    @_slowly
    def fsync(self, path: str, datasync: int, handle: int) -> int:
        os.fsync(handle)
        return 0

    @_slowly
    def getattr(self, path: str, handle: int | None = None) -> dict[str, Any]:
        found = os.lstat(path)
        names = ("mode", "nlink", "uid", "gid", "size", "atime_ns", "mtime_ns", "ctime_ns")
        return {f"st_{name.removesuffix('_ns')}": getattr(found, f"st_{name}") for name in names}

    @_slowly
    def link(self, path: str, source: str) -> int:
        os.link(self.root + source, path)
        return 0

    @_slowly
    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(path, mode)
        return 0

    @_slowly
    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags)

    @_slowly
    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        return os.pread(handle, size, offset)

    @_slowly
    def readdir(self, path: str, handle: int) -> list[str]:
        return [".", "..", *os.listdir(path)]

    @_slowly
    def readlink(self, path: str) -> str:
        return os.readlink(path)

    @_slowly
    def release(self, path: str, handle: int) -> int:
        os.close(handle)
        return 0

    @_slowly
    def rename(self, path: str, new: str) -> int:
        os.rename(path, self.root + new)
        return 0

    @_slowly
    def rmdir(self, path: str) -> int:
        os.rmdir(path)
        return 0

    @_slowly
    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(path)
        names = ("bavail", "bfree", "blocks", "bsize", "favail", "ffree", "files", "frsize")
        return {f"f_{name}": getattr(found, f"f_{name}") for name in names}

    @_slowly
    def symlink(self, path: str, source: str) -> int:
        os.symlink(source, path)
        return 0

    @_slowly
    def truncate(self, path: str, length: int, handle: int | None = None) -> int:
        os.truncate(path, length)
        return 0

    @_slowly
    def unlink(self, path: str) -> int:
        os.unlink(path)
        return 0

    @_slowly
    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        if times is None:
            os.utime(path)
        else:
            os.utime(path, ns=times)
        return 0

    @_slowly
    def write(self, path: str, data: bytes, offset: int, handle: int) -> int:
        return os.pwrite(handle, data, offset)


if __name__ == "__main__":
    import mfusepy

    class _Served(Disk, mfusepy.Operations):
        pass

    mfusepy.FUSE(_Served(Path(sys.argv[1])), sys.argv[2], foreground=True)
