"""An engine for hosts that share no disk: what jobs read and write travels by object storage.

Method:
    This process alone has the study. Before a job is given away, the files that it names are put
    into the store, by the hash of their content; the host that takes it fetches those that it lacks
    and gives the job its own paths (`mixwise.engine.storage.paths`). What a run writes is put into
    the store whenever it could be gone on from, and once more at its end; another host that takes
    the same run begins there. A finished run is brought into the study's folder before it counts
    as done; one that is removed there is made anew (`mixwise.engine.storage.home`). The rest of
    mixwise knows nothing of it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mixwise.engine.cluster import Cluster, find_versions, require_same_versions
from mixwise.engine.protocol import Engine, Finished, Job, OnStep, Result, Stopped
from mixwise.engine.storage.home import Home, clear_older
from mixwise.engine.storage.host import HostFolder, Item
from mixwise.engine.storage.paths import PackedJob, pack, unpack
from mixwise.engine.storage.state import State, Written, bring, find_state, publish
from mixwise.engine.storage.store import Content, Store, hash_sha256, open_store
from mixwise.errors import DamagedError, MixwiseWarning, ResourceError
from mixwise.files import HashMemo
from mixwise.recipe import hash_section

_NEVER_READ = {".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".pkl", ".pt", ".pth"}
_POINTS = "trajectory"  # a folder of checkpoints, each of which is named where it is read
_MEMO = ".sha256.json"


@dataclass(frozen=True, slots=True)
class Output:
    """Where a job writes.

    Args:
        folder: Its folder.
        fingerprint: Hash of all that comes out of it depends on.
    """

    folder: Path
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """What of a study travels, and what is known of its jobs.

    Args:
        url: Of the store.
        study: The study's folder, which this process alone has.
        output_of: Where a job writes; None for one that only answers.
        written_in: What a job can go on from in such a folder; None while there is nothing.
        scratch: Folders that jobs fill for themselves: each host has its own.
    """

    url: str
    study: Path
    output_of: Callable[[Any], Output | None]
    written_in: Callable[[Path], Written | None]
    scratch: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A job on its way to a host.

    Args:
        job: Without its paths.
        items: Files that it reads.
        output: Where it writes; None for one that only answers.
        run: Tells what it writes from that of other jobs of the study.
        generation: How often that was removed from the study before.
    """

    job: PackedJob
    items: tuple[Item, ...]
    output: str | None = None
    run: str = ""
    generation: int = 0

    @property
    def key(self) -> str:
        """Name of what it writes, in the store."""
        return hash_section(self.run, self.generation) if self.generation else self.run


class StoredEngine:
    """An `Engine` whose jobs fetch what they read from a store, and put there what they write.

    Args:
        engine: Does the jobs.
        traffic: What travels.
    """

    def __init__(self, engine: Engine, traffic: Traffic) -> None:
        self._engine = engine
        self._traffic = traffic
        self._store = open_store(traffic.url)
        self._sha256 = HashMemo(traffic.study / _MEMO, hash_file=hash_sha256)
        self._home = Home(traffic.study)
        self._uploaded: set[str] = set()

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
        """See `Engine.run`.

        Raises:
            DamagedError: If an object of the store is not what was written.
        """
        parcels = [self._send(job) for job in jobs]
        work = partial(_work, function, self._traffic)
        for finished in self._engine.run(work, parcels, on_step):
            self._bring_home(parcels[finished.index])
            yield finished

    def close(self) -> None:
        """See `Engine.close`."""
        self._engine.close()

    def _send(self, job: Any) -> _Parcel:
        """Put what a job reads into the store."""
        packed, output = pack(job), self._traffic.output_of(job)
        own = [] if output is None else [output.folder]
        skipped = [path.absolute() for path in (*own, *self._traffic.scratch)]
        items: dict[str, Item] = {}
        for path in map(Path, packed.paths):
            if not any(path.is_relative_to(folder) for folder in skipped):
                items |= {str(file): self._item(file) for file in _files_of(path)}
        for item in items.values():
            if item.key not in self._uploaded:
                self._upload(item)
        if output is None:
            return _Parcel(packed, tuple(items.values()))
        folder = output.folder.absolute()
        run = hash_section(str(self._traffic.study.absolute()), str(folder), output.fingerprint)
        written = self._traffic.written_in(folder)
        generation = self._home.generation(run, is_there=written is not None)
        parcel = _Parcel(packed, tuple(items.values()), str(folder), run, generation)
        if written is not None and find_state(parcel.key, self._store) is None:
            publish(written, folder, parcel.key, self._store, self._sha256)  # begun without it
        return parcel

    def _item(self, file: Path) -> Item:
        return Item(str(file), Content(file.stat().st_size, self._sha256(file)))

    def _upload(self, item: Item) -> None:
        try:
            self._store.upload(Path(item.path), item.key, item.content)
        except FileNotFoundError:
            raise ResourceError(
                f"{item.path}: is gone, though a job needs it: put it back, and run the same "
                "command again"
            ) from None
        self._uploaded.add(item.key)

    def _bring_home(self, parcel: _Parcel) -> None:
        """Have what a finished job has written in the study."""
        if parcel.output is None:
            return
        state = find_state(parcel.key, self._store)
        if state is None or not state.written.is_finished:
            raise ResourceError(
                f"{self._store.url}: has lost the run of {parcel.output}, which was finished a "
                "moment ago: use a store that keeps what it takes, and run the same command again"
            )
        bring(state, Path(parcel.output), parcel.key, self._store)
        self._home.note(parcel.run, parcel.generation)
        self._uploaded |= {
            Item("", content).key for content in state.contents.values()
        }  # which evaluations read next


def survey_stores(cluster: Cluster, url: str) -> None:
    """Ask every host for its software, and whether it can use the store.

    Args:
        cluster: The hosts.
        url: Of the store.

    Raises:
        MissingDependencyError: If this host lacks a package.
        ResourceError: If the store cannot be used from here, or from a host, which is named; or if
            a host has other software.
    """
    open_store(url).require_usable()
    for host, found in cluster.call_everywhere(_survey, url):
        require_same_versions(host, found.versions)
        if found.problem:
            raise ResourceError(f"{host}: {found.problem}")


@dataclass(frozen=True, slots=True)
class _Survey:
    """What a host answers: its software, and why it cannot use the store."""

    versions: dict[str, str]
    problem: str = ""


def _survey(url: str) -> _Survey:
    versions = find_versions()
    try:
        open_store(url).require_usable()
    except Exception as error:  # told by whoever asked, with the host's name
        return _Survey(versions, str(error))
    return _Survey(versions)


def _files_of(path: Path) -> list[Path]:
    """What travels of a path: a file, or what may be read of a folder."""
    if path.is_file():
        return [path]
    found = []
    for folder, names, files in os.walk(path):
        names[:] = sorted(name for name in names if not name.startswith(".") and name != _POINTS)
        found += [Path(folder, name) for name in sorted(files) if not name.startswith(".")]
    return [file for file in found if file.suffix not in _NEVER_READ and file.is_file()]


def _work(
    function: Callable[[Any, OnStep], Result], traffic: Traffic, parcel: _Parcel, on_step: OnStep
) -> Result:
    """Do a job on the host that has taken it."""
    store, host = open_store(traffic.url), HostFolder(str(traffic.study.absolute()))
    for item in parcel.items:
        host.fetch(item, store)
    job = unpack(parcel.job, host.place)
    if parcel.output is None:
        return function(job, on_step)
    folder = host.place(Path(parcel.output))
    clear_older(folder, parcel.generation)
    output = _HostedOutput(folder, parcel.key, store, host, traffic)
    output.catch_up()

    def told(step: int) -> None:
        output.send()
        on_step(step)

    try:
        result = function(job, told)
    except Stopped:  # after a last snapshot
        output.send()
        raise
    output.send()
    return result


@dataclass(slots=True)
class _HostedOutput:
    """What a job writes on a host."""

    folder: Path
    key: str
    store: Store
    host: HostFolder
    traffic: Traffic
    _sent: Written | None = field(default=None, init=False)

    def catch_up(self) -> None:
        """Begin where another host has come to, if that is further than this one has."""
        state, here = self._stored(), self.traffic.written_in(self.folder)
        if state is None:
            return
        if here is None or state.written.reach > here.reach:
            try:
                bring(state, self.folder, self.key, self.store)
            except DamagedError as error:
                _tell_anew(error)
                return
        self._sent = state.written

    def _stored(self) -> State | None:
        try:
            return find_state(self.key, self.store)
        except DamagedError as error:
            _tell_anew(error)
            return None

    def send(self) -> None:
        """Put what the job has written into the store, where that is more than it has."""
        written = self.traffic.written_in(self.folder)
        if written is None or (self._sent is not None and written.reach <= self._sent.reach):
            return
        if publish(written, self.folder, self.key, self.store, self.host.sha256) is not None:
            self._sent = written


def _tell_anew(error: DamagedError) -> None:
    warnings.warn(f"{error}; this run begins anew", MixwiseWarning, stacklevel=3)
