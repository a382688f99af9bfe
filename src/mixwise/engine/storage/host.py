"""The files of a study on a host without its disk: a copy of what jobs read, fetched once.

Method:
    A file stands below the host's folder under its own absolute path, so that a folder holds what
    it holds where it comes from. It is fetched by one process while others of the host wait,
    checked by size and SHA-256, and moved to its place whole; a file that is there already is
    checked the same way, by a memo of hashes (`mixwise.files.HashMemo`).
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mixwise.engine.storage.store import Content, Store, hash_sha256
from mixwise.files import MEMO_FILE, HashMemo, user_cache
from mixwise.recipe import hash_section
from mixwise.shortages import explain_failed_write

_FOLDER = "hosts"


@dataclass(frozen=True, slots=True)
class Item:
    """A file that a job reads.

    Args:
        path: Where it comes from, absolute.
        content: What it holds.
    """

    path: str
    content: Content

    @property
    def key(self) -> str:
        """Name of its object."""
        return object_key(self.content)


def object_key(content: Content) -> str:
    """Name of the object that holds some content: by its hash, whatever file it comes from."""
    return f"objects/{content.sha256[:2]}/{content.sha256}"


class HostFolder:
    """Where this host keeps the files of one study.

    Args:
        study: Tells the study from others that this host works for.
    """

    def __init__(self, study: str) -> None:
        self.folder = user_cache() / _FOLDER / hash_section(study)[:16]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_failed_write(error, self.folder) from None
        self.sha256 = HashMemo(self.folder / MEMO_FILE, hash_file=hash_sha256)

    def place(self, path: Path) -> Path:
        """Where a file or folder of the study lies on this host."""
        return self.folder / path.relative_to(path.anchor)

    def fetch(self, item: Item, store: Store) -> None:
        """Have a file here, as it is where it comes from.

        Raises:
            DamagedError: If its object is not what was written.
            ResourceError: If the store does not answer, or there is no room here.
        """
        path = self.place(Path(item.path))
        with self._alone(path):
            if not self.holds(path, item.content):
                store.download(item.key, path, item.content)

    def holds(self, path: Path, content: Content) -> bool:
        """Whether a file holds some content."""
        if not path.is_file() or path.stat().st_size != content.n_bytes:
            return False
        return self.sha256(path) == content.sha256

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        """Keep other processes of this host from the same file."""
        locks = self.folder / ".locks"
        try:
            locks.mkdir(exist_ok=True)
            lock = (locks / hash_section(str(path))).open("w")
        except OSError as error:
            raise explain_failed_write(error, locks) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
