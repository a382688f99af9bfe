"""What the machine has too little of: one place that knows its errors by whoever raises them.

Python, SQLite, torch and safetensors each have their own words for a full disk, a lost one, and for
memory that is used up. Whoever writes asks here first, so that the text is the same everywhere and
names the true cause.
"""

from __future__ import annotations

import errno
from pathlib import Path

from mixwise.errors import MixwiseError, ResourceError, first_line

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_SIGNS = (  # of libraries that have no error of their own for a full disk
    "database or disk is full",
    "No space left on device",
    "Disk quota exceeded",
    "os error 28",
    "StorageFull",
)
_MEMORY_SIGNS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "Cannot allocate memory",
    "bad_alloc",
    "Unable to allocate",
    "can't start new thread",
    "failed to map segment from shared object",
)
_LOST = (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO)  # of a file
_READ_ONLY_SIGNS = ("Read-only file system", "readonly database")


def is_full_disk(error: BaseException) -> bool:
    """Whether an error says that a disk is full, or a quota on it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return any(sign in str(error) for sign in _FULL_SIGNS)


def is_lost_disk(error: BaseException) -> bool:
    """Whether an error about a file says that its disk is lost."""
    if not isinstance(error, OSError) or error.filename is None:
        return False
    return error.errno in _LOST


def _is_folder_gone(error: BaseException) -> bool:
    """Whether there is no file because its folder is not there, as where a disk is unmounted."""
    if not isinstance(error, FileNotFoundError) or not isinstance(error.filename, str):
        return False
    return not _is_there(Path(error.filename).parent)


def _is_there(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError:  # as of a disk that is lost
        return False


def is_short_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, on this machine or on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    is_known = isinstance(error, RuntimeError | OSError | ImportError)
    return is_known and any(sign in str(error) for sign in _MEMORY_SIGNS)


def explain_shortage(error: BaseException, place: Path | str | None = None) -> ResourceError | None:
    """Say in our words what there is too little of; None when the error means something else.

    Args:
        error: What was raised, by whatever library.
        place: The file or folder that was to be written; by default the one that the error names.

    Example:
        >>> print(explain_shortage(OSError(28, "No space left on device"), "study"))
        study: cannot be written (the disk is full: No space left on device): free space there and \
run the same command again; nothing that was finished is lost
        >>> explain_shortage(ValueError("something else")) is None
        True
    """
    if isinstance(error, MixwiseError):
        return None
    reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
    named = place or (isinstance(error, OSError) and error.filename) or "a file"
    if is_full_disk(error):
        return ResourceError(
            f"{named}: cannot be written (the disk is full: {reason}): free space there and run "
            "the same command again; nothing that was finished is lost"
        )
    is_read_only = isinstance(error, OSError) and error.errno == errno.EROFS
    if is_read_only or any(sign in str(error) for sign in _READ_ONLY_SIGNS):
        return ResourceError(
            f"{named}: cannot be written ({reason}): it lies where only reading is allowed: move "
            "the folder or change that"
        )
    if is_lost_disk(error) or (place is None and _is_folder_gone(error)):
        return ResourceError(
            f"{named}: its folder is gone, or its disk does not answer ({reason}): see that the "
            "disk is mounted and run the same command again; nothing that was finished is lost"
        )
    if is_short_of_memory(error):
        return ResourceError(
            f"not enough memory ({reason}): lower `engine.workers`, `training.batch_sequences` or "
            "`evaluation.batch_sequences`, or allow this process more; nothing that was finished "
            "is lost"
        )
    return None


def find_shortage(error: BaseException) -> ResourceError | None:
    """The lack of memory behind an error, whoever has put it into other words since.

    Args:
        error: What was raised; what it was raised from or beside is looked at too. One that says
            already what there is too little of is left as it is.

    Example:
        >>> try:
        ...     raise MemoryError
        ... except MemoryError:
        ...     try:
        ...         raise ValueError("cannot be loaded") from None
        ...     except ValueError as error:
        ...         print(str(find_shortage(error))[:17])
        not enough memory
    """
    found: BaseException | None = None if isinstance(error, ResourceError) else error
    while found is not None and not is_short_of_memory(found):
        found = found.__cause__ or found.__context__
    return None if found is None else explain_shortage(found)


def explain_failed_write(error: BaseException, place: Path | str) -> ResourceError:
    """Say why a file or folder could not be written, whatever the reason is.

    Example:
        >>> print(explain_failed_write(PermissionError(13, "Permission denied"), "study"))
        study: cannot be written (Permission denied): change that and run the same command again
    """
    reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
    return explain_shortage(error, place) or ResourceError(
        f"{place}: cannot be written ({reason}): change that and run the same command again"
    )
