"""An object store by its address, through fsspec: objects are written whole and read with a check.

Method:
    Every call has a limit of time, which grows with the bytes that it moves, and is tried again a
    few times, which is said. What trying again cannot change (no rights, no room, no credentials)
    ends at once. Objects are named by the SHA-256 of their content and have its size in whoever
    names them, so that one that is cut short or altered is found when it is read. On a store that
    is a folder an object is moved to its place when it is whole, as an object store does by itself.

    Credentials are those that fsspec's file systems find on each host by themselves, such as
    ``AWS_ACCESS_KEY_ID`` or ``~/.aws``; none is ever written or sent.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from mixwise.errors import (
    DamagedError,
    MissingDependencyError,
    MixwiseWarning,
    ResourceError,
    first_line,
    printable,
)
from mixwise.shortages import explain_failed_write, is_full_disk

Answer = TypeVar("Answer")

_TRIES = 4
_WAIT_SECONDS = 1.0  # before the second try; twice as long before each next one
_ANSWER_SECONDS = 60.0  # of a call that moves nothing
_BYTES_PER_SECOND = 1 << 20  # slower than this is taken for a store that hangs
_CHUNK_BYTES = 1 << 22
_FULL_SIGNS = ("StorageFull", "InsufficientStorage", "QuotaExceeded", "507")
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError")


@dataclass(frozen=True, slots=True)
class Content:
    """What a file or an object holds.

    Args:
        n_bytes: Its size.
        sha256: Of its content, in hexadecimal.
    """

    n_bytes: int
    sha256: str


def hash_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_store(url: str) -> Store:
    """Open the store at an address; nothing is asked of it yet.

    Args:
        url: Such as ``s3://bucket/prefix``.

    Raises:
        MissingDependencyError: If fsspec, or the package of this kind of store, is not installed.
        ResourceError: If there is no such kind of store.
    """
    if find_spec("fsspec") is None:
        raise _missing(url, "fsspec")
    from fsspec.core import url_to_fs

    try:
        file_system, root = url_to_fs(url)
    except ImportError as error:
        raise _missing(url, first_line(error)) from None
    except Exception as error:  # fsspec's file systems raise errors of many kinds
        raise ResourceError(
            f"`engine.storage: {printable(url)}`: cannot be opened ({printable(first_line(error))})"
            ": give an address that fsspec knows, such as s3://BUCKET/PREFIX"
        ) from None
    return Store(file_system, str(root).rstrip("/"), url.rstrip("/"))


def _missing(url: str, what: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"`engine.storage: {printable(url)}` needs a package on every host ({printable(what)}): "
        "install it with `pip install 'mixwise[storage]'`, which has what s3:// needs"
    )


class Store:
    """Objects below one address.

    Args:
        file_system: Of fsspec.
        root: Where objects lie in it.
        url: What error texts call it.
    """

    def __init__(self, file_system: Any, root: str, url: str) -> None:
        self._files = file_system
        self._root = root
        self.url = url

    def has(self, key: str, n_bytes: int) -> bool:
        """Whether an object of this size is there.

        Raises:
            ResourceError: If the store does not answer, or may not be read.
        """

        def look() -> bool:
            self._files.invalidate_cache()
            try:
                return int(self._files.info(self._path(key))["size"]) == n_bytes
            except FileNotFoundError:
                return False

        return self._try(f"{self.url}/{key}", "be read", look)

    def upload(self, path: Path, key: str, content: Content) -> None:
        """Put a file there, unless an object of its name and size is.

        Args:
            path: The file.
            key: Name of the object.
            content: What the file holds.

        Raises:
            ResourceError: If the store does not answer, is full, or may not be written.
            FileNotFoundError: If the file is gone.
        """
        if self.has(key, content.n_bytes):
            return

        def put() -> None:
            with self._whole(key) as place:
                self._files.put_file(str(path), place)

        try:
            self._try(f"{self.url}/{key}", "be written", put, content.n_bytes)
        except FileNotFoundError:
            if not path.is_file():
                raise
            raise self._no_place(key) from None
        if not self.has(key, content.n_bytes):
            raise ResourceError(
                f"{self.url}/{key}: is not there, or cut short, after it was written: see that "
                "the store keeps what it takes, and run the same command again"
            )

    def download(self, key: str, path: Path, content: Content) -> None:
        """Fetch an object into a file: whole and as it was written, or not at all.

        Args:
            key: Name of the object.
            path: The file; its folder is made.
            content: What it must hold.

        Raises:
            DamagedError: If the object is missing, cut short or altered.
            ResourceError: If the store does not answer, or the file cannot be written.
        """
        partial = path.with_name(f".{path.name}.partial.{uuid.uuid4().hex[:8]}")

        def get() -> None:
            digest, n_bytes = hashlib.sha256(), 0
            with self._files.open(self._path(key), "rb") as source:
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    target = partial.open("wb")
                except OSError as error:
                    raise explain_failed_write(error, path) from None
                with target:
                    while chunk := source.read(_CHUNK_BYTES):
                        digest.update(chunk)
                        n_bytes += len(chunk)
                        try:
                            target.write(chunk)
                            target.flush()
                        except OSError as error:
                            raise explain_failed_write(error, path) from None
            if Content(n_bytes, digest.hexdigest()) != content:
                raise _NotAsWrittenError(f"{n_bytes} of {content.n_bytes} bytes")

        try:
            self._try(f"{self.url}/{key}", "be read", get, content.n_bytes)
            partial.replace(path)
        except (FileNotFoundError, _NotAsWrittenError) as error:
            why = "is missing" if isinstance(error, FileNotFoundError) else f"has {error}"
            raise DamagedError(
                f"{self.url}/{key}: is not what was written (it {why}, or its SHA-256 differs): "
                "delete this object and run the same command again; it is written anew"
            ) from None
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def write(self, key: str, text: str) -> None:
        """Write a small object at once.

        Raises:
            ResourceError: If the store does not answer, is full, or may not be written.
        """

        def put() -> None:
            with self._whole(key) as place:
                self._files.pipe_file(place, text.encode())

        try:
            self._try(f"{self.url}/{key}", "be written", put)
        except FileNotFoundError:
            raise self._no_place(key) from None

    def read(self, key: str) -> bytes | None:
        """A small object; None where there is none.

        Raises:
            ResourceError: If the store does not answer, or may not be read.
        """

        def get() -> bytes | None:
            try:
                return bytes(self._files.cat_file(self._path(key)))
            except FileNotFoundError:
                return None

        return self._try(f"{self.url}/{key}", "be read", get)

    def remove_others(self, folder: str, kept: frozenset[str]) -> None:
        """Remove the objects of a folder that are not named.

        Args:
            folder: Beginning of their names.
            kept: Names that stay, without the folder.

        Raises:
            ResourceError: If the store does not answer, or may not be changed.
        """

        def remove() -> None:
            self._files.invalidate_cache()
            try:
                found = self._files.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return
            for path in found:
                if str(path).rpartition("/")[2] not in kept:
                    with suppress(FileNotFoundError):
                        self._files.rm_file(path)

        self._try(f"{self.url}/{folder}", "be cleared", remove)

    def require_usable(self) -> None:
        """Write, read and remove a small object.

        Raises:
            ResourceError: If one of that cannot be done.
        """
        word = uuid.uuid4().hex
        self.write(f"probes/{word}", word)
        if self.read(f"probes/{word}") != word.encode():
            raise ResourceError(
                f"{self.url}: does not give back what was written a moment ago: use a store that "
                "does"
            )
        self._try(self.url, "be cleared", lambda: self._files.rm_file(self._path(f"probes/{word}")))

    def _no_place(self, key: str) -> ResourceError:
        return ResourceError(
            f"{self.url}/{key}: cannot be written (there is no such bucket): make it, or correct "
            "`engine.storage`"
        )

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _whole(self, key: str) -> _Placed:
        return _Placed(self._files, self._path(key))

    def _try(
        self, place: str, purpose: str, call: Callable[[], Answer], n_bytes: int = 0
    ) -> Answer:
        """Call a few times, each within its limit of time."""
        seconds = _ANSWER_SECONDS + n_bytes / _BYTES_PER_SECOND
        for attempt in range(1, _TRIES + 1):
            try:
                return _within(seconds, call)
            except (ResourceError, FileNotFoundError):
                raise
            except Exception as error:  # fsspec's file systems raise errors of many kinds
                _require_curable(error, place, purpose)
                why = printable(first_line(error) or type(error).__name__)
                if attempt == _TRIES:
                    if isinstance(error, _NotAsWrittenError):
                        raise
                    raise ResourceError(
                        f"{place}: cannot {purpose} ({why}), tried {_TRIES} times: see that the "
                        "store is there and answers, and run the same command again; it goes on "
                        "from here"
                    ) from None
                warnings.warn(
                    f"{place}: could not {purpose} ({why}): tried again ({attempt} of "
                    f"{_TRIES - 1})",
                    MixwiseWarning,
                    stacklevel=2,
                )
                time.sleep(_WAIT_SECONDS * 2 ** (attempt - 1))
        raise AssertionError  # the last try returns or raises


class _NotAsWrittenError(Exception):
    """An object is not what it should be; reading it again may help once, where a line was cut."""


class _Placed:
    """Where an object is written: its place, or beside it until it is whole, in a folder."""

    def __init__(self, file_system: Any, path: str) -> None:
        from fsspec.implementations.local import LocalFileSystem

        self._files, self._path = file_system, path
        self._beside = ""
        if isinstance(file_system, LocalFileSystem):
            self._beside = f"{path}.partial-{uuid.uuid4().hex[:8]}"
            Path(path).parent.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> str:
        return self._beside or self._path

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._beside and kind is None:
            Path(self._beside).replace(self._path)
        elif self._beside:
            Path(self._beside).unlink(missing_ok=True)


def _require_curable(error: Exception, place: str, purpose: str) -> None:
    """End where trying again would end in the same."""
    name, text = type(error).__name__, printable(first_line(error))
    if is_full_disk(error) or any(sign in str(error) for sign in _FULL_SIGNS):
        raise ResourceError(
            f"{place}: cannot {purpose} (the store is full: {text}): free space there and run the "
            "same command again; nothing that was finished is lost"
        ) from None
    if isinstance(error, PermissionError) or name in _NO_CREDENTIALS:
        raise ResourceError(
            f"{place}: cannot {purpose} ({text or name}): give this host credentials that may "
            "read, write and delete there, as fsspec's file system finds them by itself (for "
            "s3:// those of AWS: the environment, ~/.aws or the machine's role)"
        ) from None


def _within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Call in a thread of its own, which is left behind where it takes too long."""
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if errors:
        raise errors[0]
    return answers[0]
