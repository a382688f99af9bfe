"""Files: hashes of their content, sealed JSON, and writing them whole or not at all.

Method:
    A file is trusted for its content, never for its name. JSON that mixwise writes carries a hash
    of itself; other files have theirs in such a JSON file, or in their own header. Reading a large
    file again at every opening would cost more than the work itself, so a `HashMemo` remembers the
    hash of a file for as long as its size, times and inode stand, and for a day at most: damage
    that changes none of them is found within that time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mixwise.errors import DamagedError, DataError, StudyError, first_line
from mixwise.shortages import explain_failed_write

HashFile = Callable[[Path], str]
CONTENT_HASH = "content_hash"  # key of sealed JSON
MEMO_FILE = ".hashes.json"  # name of a memo in the folder that it speaks for
_REMEMBERED_SECONDS = 24 * 3600.0
_TICK_SECONDS = 2.0  # within one tick of the file system a file may change and keep its times


def user_cache() -> Path:
    """Where mixwise keeps what can be made anew: ``$MIXWISE_CACHE``, or its place in the cache."""
    own = os.environ.get("MIXWISE_CACHE")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(own) if own else shared / "mixwise"


def hash_file(path: Path) -> str:
    """Hash the content of a file (BLAKE2b, 128 bits of it).

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
    except OSError as error:
        raise _unreadable(path, error) from None


class HashMemo:
    """Hashes of files, remembered while nothing seems changed and for a day at most.

    What it remembers is a shortcut alone: it can be deleted at any time, and where it cannot be
    written every file is read again.

    Args:
        path: Its own file, sealed JSON; its folder may be missing.
        hash_file: Hashes a file.
        clock: Seconds since 1970.
        read_only: Whether to remember nothing beyond this process.
    """

    def __init__(
        self,
        path: Path,
        *,
        hash_file: HashFile = hash_file,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
    ) -> None:
        self._path = path
        self._hash_file = hash_file
        self._clock = clock
        self._read_only = read_only
        self._known = self._load()

    def __call__(self, path: Path) -> str:
        """The hash of a file.

        Raises:
            DataError: If it cannot be read.
        """
        name = os.fsencode(path.absolute()).decode(errors="backslashreplace")
        try:
            stat = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from None
        identity = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        match self._known.get(name):
            case [*known, float(verified), str(digest)] if (
                known == identity and 0 <= self._clock() - verified < _REMEMBERED_SECONDS
            ):
                return digest
        digest = self._hash_file(path)
        if self._clock() - stat.st_ctime_ns / 1e9 > _TICK_SECONDS:
            self._remember(name, [*identity, float(self._clock()), digest])
        return digest

    def _load(self) -> dict[str, Any]:
        try:
            return load_sealed(self._path, "it is made anew")
        except (FileNotFoundError, NotADirectoryError, StudyError, DamagedError):
            return {}

    def _remember(self, name: str, entry: list[Any]) -> None:
        self._known = {**self._load(), **self._known, name: entry}
        if self._read_only:
            return
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}.partial")
        with contextlib.suppress(OSError):  # a read-only or full disk: no shortcut then
            partial.write_text(seal(self._known), encoding="utf-8")
            partial.replace(self._path)


def seal(content: Mapping[str, Any]) -> str:
    """Write an object as JSON that carries a hash of its own content, anew if it has one.

    Example:
        >>> seal({"a": 1}) == seal({"a": 2})
        False
    """
    plain = json.loads(json.dumps(content))
    plain.pop(CONTENT_HASH, None)
    return json.dumps({**plain, CONTENT_HASH: _hash(plain)}, indent=1, ensure_ascii=False) + "\n"


def parse_sealed(text: str | bytes, origin: str, remedy: str) -> dict[str, Any]:
    """Read an object that `seal` wrote, and find it unchanged.

    Args:
        text: The JSON.
        origin: What error texts call it, such as its path.
        remedy: What to do about a damaged one, for the error text.

    Returns:
        The content without its hash.

    Raises:
        DamagedError: If it is not what `seal` wrote.
    """
    try:
        content = json.loads(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedError(
            f"{origin}: is damaged (not readable JSON: {first_line(error)}): {remedy}"
        ) from None
    if not isinstance(content, dict):
        raise DamagedError(
            f"{origin}: is damaged (must hold an object, but holds {type(content).__name__}): "
            f"{remedy}"
        )
    if CONTENT_HASH not in content:
        raise DamagedError(f"{origin}: is damaged (it has no `{CONTENT_HASH}`): {remedy}")
    noted = content.pop(CONTENT_HASH)
    if noted != _hash(content):
        raise DamagedError(f"{origin}: is damaged (its content is not what was written): {remedy}")
    return content


def load_sealed(path: Path, remedy: str) -> dict[str, Any]:
    """Read a file that holds what `seal` wrote; see `parse_sealed`.

    Raises:
        FileNotFoundError: If there is none.
        DamagedError: If it is not what `seal` wrote.
        StudyError: If it cannot be read.
    """
    return parse_sealed(read_bytes(path), str(path), remedy)


def read_bytes(path: Path) -> bytes:
    """Content of a file of a study.

    Raises:
        FileNotFoundError: If there is none.
        StudyError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StudyError(f"{path}: cannot be read ({reason}): change its permissions") from None


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file beside its place and move it there: a killed process leaves the old or the new.

    Args:
        path: The file; its folder exists.
        content: Text (written as UTF-8) or bytes.

    Raises:
        ResourceError: If it cannot be written, as on a full disk.
    """
    partial = path.with_name(f".{path.name}.partial.{os.getpid()}")  # others may write it too
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            partial.unlink()
        raise explain_failed_write(error, path) from None


def _hash(plain: Any) -> str:
    text = json.dumps(plain, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _unreadable(path: Path, error: OSError) -> DataError:
    reason = error.strerror or type(error).__name__
    return DataError(f"{path}: cannot be read ({reason}): restore it, or change its permissions")
