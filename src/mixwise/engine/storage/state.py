"""What a job has written so far, in the store: by which it goes on elsewhere, or is brought home.

Method:
    Data first, then one small manifest that names every file with its size and SHA-256, sealed with
    its own hash: what no manifest names was never written. A state that goes further replaces the
    one before, whose objects are then removed; the objects of a finished job are those that other
    jobs read.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mixwise.engine.storage.host import object_key
from mixwise.engine.storage.store import Content, Store
from mixwise.errors import DamagedError
from mixwise.files import HashFile, parse_sealed, seal
from mixwise.shortages import explain_failed_write


@dataclass(frozen=True, slots=True)
class Written:
    """Files in a job's folder that it can go on from.

    Args:
        step: How far the job had come.
        is_finished: Whether it had come to its end.
        files: Their paths in the folder; the last one marks the others as whole.
    """

    step: int
    is_finished: bool
    files: tuple[str, ...]

    @property
    def reach(self) -> tuple[bool, int]:
        """What tells which of two goes further."""
        return self.is_finished, self.step


@dataclass(frozen=True, slots=True)
class State:
    """The same in the store.

    Args:
        written: The files.
        contents: What each holds.
    """

    written: Written
    contents: Mapping[str, Content]


def publish(
    written: Written, folder: Path, key: str, store: Store, sha256: HashFile
) -> State | None:
    """Put what a job has written into the store.

    Args:
        written: The files.
        folder: Where they are.
        key: Name of the job.
        store: Where they go.
        sha256: Hashes a file.

    Returns:
        What is there now; None where the job has removed a file meanwhile, which it does once a
        newer snapshot is whole.
    """
    contents = {}
    try:
        for name in written.files:
            path = folder / name
            contents[name] = Content(path.stat().st_size, sha256(path))
            store.upload(path, _object_key(key, written, contents[name]), contents[name])
    except FileNotFoundError:
        return None
    files = {name: [content.n_bytes, content.sha256] for name, content in contents.items()}
    manifest = {"step": written.step, "is_finished": written.is_finished, "files": files}
    store.write(_manifest_key(key), seal(manifest))
    kept = frozenset(content.sha256 for content in contents.values())
    store.remove_others(f"runs/{key}/files", frozenset() if written.is_finished else kept)
    return State(written, contents)


def find_state(key: str, store: Store) -> State | None:
    """What the store has of a job; None where it has nothing.

    Raises:
        DamagedError: If its manifest is not what was written.
    """
    text = store.read(_manifest_key(key))
    if text is None:
        return None
    where = f"{store.url}/{_manifest_key(key)}"
    remedy = "delete this object and run the same command again; the job begins anew"
    found = parse_sealed(text, where, remedy)
    contents = {name: Content(*facts) for name, facts in found["files"].items()}
    for name in contents:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DamagedError(f"{where}: names a file outside of its folder: {remedy}")
    return State(Written(found["step"], found["is_finished"], tuple(contents)), contents)


def bring(state: State, folder: Path, key: str, store: Store) -> None:
    """Put a state into a folder in the place of what is there; what marks it as whole comes last.

    Args:
        state: What the store has.
        folder: Where it goes.
        key: Name of the job.
        store: The store.

    Raises:
        DamagedError: If an object is not what was written.
        ResourceError: If the store does not answer, or there is no room.
    """
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise explain_failed_write(error, folder) from None
    for name, content in state.contents.items():
        store.download(_object_key(key, state.written, content), folder / name, content)


def _object_key(key: str, written: Written, content: Content) -> str:
    return object_key(content) if written.is_finished else f"runs/{key}/files/{content.sha256}"


def _manifest_key(key: str) -> str:
    return f"runs/{key}/manifest.json"
