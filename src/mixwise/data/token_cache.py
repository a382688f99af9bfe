"""Folders of the token cache: written whole, checked when they are opened, made anew when wrong.

Method:
    ``facts.json`` is sealed and holds the hash of every other file of its folder. A folder that
    does not match it is derived from data that is still there, so it is made anew, and that is
    said. A folder is written under a name of its own, under a lock, and moved into place: several
    processes of a user can make the same one, and what a killed process has left is told by its
    missing lock and removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mixwise.errors import DamagedError, DataError, MixwiseWarning, StudyError, printable
from mixwise.files import MEMO_FILE, HashMemo, hash_file, load_sealed, seal

FACTS_FILE = "facts.json"
_PARTIAL = ".partial-"


def load_cached(folder: Path, name: str) -> Mapping[str, Any] | None:
    """What ``facts.json`` of a folder holds, once every file of the folder is found as it says.

    Args:
        folder: A folder of the cache.
        name: Of the domain or evaluation set, for the text of the warning.

    Returns:
        ``facts``, and ``files``, a hash by file name; None when the folder must be made anew: it
        is missing, or damaged, which is said.
    """
    damage = _damage(folder, HashMemo(folder / MEMO_FILE))
    if damage is None:
        return load_sealed(folder / FACTS_FILE, "it is made anew")
    if folder.is_dir():
        warnings.warn(
            f"{damage}: the tokens of `{name}` are made anew from its data",
            MixwiseWarning,
            stacklevel=3,
        )
    return None


def _damage(folder: Path, hashes: HashMemo) -> str | None:
    """The first thing that is wrong with a folder, or None."""
    facts = folder / FACTS_FILE
    try:
        files = load_sealed(facts, "it is made anew").get("files")
        if not isinstance(files, dict) or not files:
            return f"{facts}: is damaged (it names no files)"
        for file, expected in files.items():
            if hashes(folder / file) != expected:
                place = f"{folder}/{printable(str(file))}"
                return f"{place}: is damaged (its content is not what was written)"
    except FileNotFoundError:
        return f"{facts}: is missing"
    except DataError:
        return f"{folder}/{printable(str(file))}: is missing or cannot be read"
    except (StudyError, DamagedError) as error:
        return str(error).removesuffix(": it is made anew")
    return None


def check_cached(folder: Path) -> str | None:
    """Read every file of a folder, whatever is remembered, and name the first wrong thing."""
    return _damage(folder, HashMemo(Path(os.devnull) / MEMO_FILE))


def save_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``facts.json`` into a folder whose other files are all written."""
    files = {path.name: hash_file(path) for path in sorted(folder.iterdir())}
    (folder / FACTS_FILE).write_text(seal({"facts": facts, "files": files}), encoding="utf-8")


@contextlib.contextmanager
def part_folder(target: Path) -> Iterator[Path]:
    """A folder under a name of its own that takes the place of ``target`` when the block ends well.

    What killed processes have left in the cache is removed first. Where another process has been
    faster, and its folder is sound, that one stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target.parent)
    partial, lock = _open_partial(target.parent)
    try:
        yield partial
        if _damage(target, HashMemo(target / MEMO_FILE)) is not None:
            _put_in_place(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _put_in_place(partial: Path, target: Path) -> None:
    aside = partial.with_name(f"{partial.name}-old")
    with contextlib.suppress(FileNotFoundError):
        target.rename(aside)
    try:
        partial.rename(target)
    except OSError:
        if _damage(target, HashMemo(target / MEMO_FILE)) is not None:  # nobody was faster
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _open_partial(parent: Path) -> tuple[Path, int]:
    """A new folder that is locked as long as the descriptor is open."""
    while True:
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=parent))
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(partial, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if partial.is_dir():  # not taken for a leftover before it was locked
                return partial, lock
            os.close(lock)


def _remove_leftovers(parent: Path) -> None:
    for left in parent.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(OSError):  # gone, or locked by the process that writes it
            lock = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(lock)
