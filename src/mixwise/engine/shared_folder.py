"""A folder that every host must see, looked for by whoever does a job.

Method:
    A file with a word of its own stands in the folder while the engine is open. Before its first
    job a process reads that word: a folder of the same path on another disk holds another word, or
    none. Disks of a network may show a new file late, so that it is waited for. Of folders that are
    only read it is enough that they are there: what is read of them is compared by its hash.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mixwise.engine.cluster import Cluster, find_versions, require_same_versions
from mixwise.engine.protocol import Engine, Finished, Job, OnStep, Result
from mixwise.errors import ResourceError
from mixwise.files import replace_file

_WAIT_SECONDS = 15.0  # a network's disk may take as long to show a new file
_LOOK_SECONDS = 0.5
_seen: set[Mark] = set()  # what this process has found


@dataclass(frozen=True, slots=True)
class Mark:
    """What a host must see.

    Args:
        file: A file in the folder that all hosts write to.
        word: What it holds.
        read_only: Folders that must be there besides.
    """

    file: str
    word: str
    read_only: tuple[str, ...] = ()


def leave_mark(folder: Path, read_only: Sequence[Path] = ()) -> Mark:
    """Write a file with a word of its own into a folder, which is made where it is missing.

    The file is named as other half-written ones, which the study removes when it is opened again.

    Raises:
        ResourceError: If it cannot be written.
    """
    word = uuid.uuid4().hex
    file = folder.absolute() / f".seen-{word[:8]}.partial"
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(file, word)
    return Mark(str(file), word, tuple(str(path.absolute()) for path in read_only))


def find_unseen(mark: Mark) -> tuple[str, ...]:
    """Folders that this host does not see, or of which it sees another one of the same path.

    A disk that is lost or answers with errors is not seen.
    """
    file, until = Path(mark.file), time.monotonic() + _WAIT_SECONDS
    while not _holds(file, mark.word) and time.monotonic() < until and _is_there(file.parent):
        time.sleep(_LOOK_SECONDS)
        with suppress(OSError):
            list(file.parent.iterdir())  # makes a network's disk look again
    written = () if _holds(file, mark.word) else (str(file.parent),)
    return (*written, *(path for path in mark.read_only if not _is_there(Path(path))))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a disk that is lost
        return False


def _holds(file: Path, word: str) -> bool:
    try:
        return file.read_bytes() == word.encode()
    except OSError:
        return False


def require_seen(host: str, unseen: Sequence[str]) -> None:
    """Refuse a host that does not see all folders.

    Raises:
        ResourceError: Names them.
    """
    if unseen:
        raise ResourceError(
            f"{host}: does not see {', '.join(unseen)}, which the study needs on every host: put "
            "it on a disk that all hosts share, under the same path (`MIXWISE_CACHE` moves the "
            "cache), or leave that host out of the cluster"
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """What a host answers before anything runs there.

    Args:
        versions: Of what decides results.
        unseen: Folders that it does not see.
    """

    versions: Mapping[str, str]
    unseen: tuple[str, ...]


def survey_hosts(cluster: Cluster, folder: Path, read_only: Sequence[Path]) -> None:
    """Ask every host for its software and for the folders.

    Args:
        cluster: The hosts.
        folder: Where the study will be; need not exist.
        read_only: What must be there besides.

    Raises:
        ResourceError: Names the first host that has other software, or does not see a folder.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    mark = leave_mark(place, [path for path in read_only if path.exists()])
    try:
        for host, found in cluster.call_everywhere(_survey, mark):
            require_same_versions(host, found.versions)
            require_seen(host, found.unseen)
    finally:
        Path(mark.file).unlink(missing_ok=True)


def _survey(mark: Mark) -> Survey:
    return Survey(find_versions(), find_unseen(mark))


class SharedFolder:
    """An `Engine` whose jobs first look for a folder.

    Args:
        engine: Does the jobs.
        folder: What all hosts write to.
        read_only: What must be there besides.
    """

    def __init__(self, engine: Engine, folder: Path, read_only: Sequence[Path] = ()) -> None:
        self._engine = engine
        self._folder = folder
        self._read_only = tuple(read_only)
        self._mark: Mark | None = None

    @property
    def n_workers(self) -> int:
        """See `Engine.n_workers`."""
        return self._engine.n_workers

    def run(
        self,
        function: Callable[[Job, OnStep], Result],
        jobs: Sequence[Job],
        on_step: Callable[[int, int], None],
    ) -> Iterator[Finished[Result]]:
        """See `Engine.run`."""
        if self._mark is None:
            self._mark = leave_mark(self._folder, self._read_only)
        yield from self._engine.run(partial(_look_and_call, function, self._mark), jobs, on_step)

    def close(self) -> None:
        """See `Engine.close`."""
        self._engine.close()
        if self._mark is not None:
            Path(self._mark.file).unlink(missing_ok=True)
            self._mark = None


def _look_and_call(
    function: Callable[[Any, OnStep], Result], mark: Mark, job: Any, on_step: OnStep
) -> Result:
    if mark not in _seen:
        require_seen(socket.gethostname(), find_unseen(mark))
        _seen.add(mark)
    return function(job, on_step)
