"""Where an engine's work may run: the hosts that it has, and how it is opened on them.

A run stays on one host, with all processes that it is spread over, as long as any host has room
for them; how many runs a host holds at once follows from its cores, GPUs and memory.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from mixwise.engine.devices import n_cores
from mixwise.engine.protocol import Engine, Job, Result
from mixwise.errors import ResourceError

_PACKAGES = ("mixwise", "torch", "transformers", "numpy")  # what decides the digits of a result


@dataclass(frozen=True, slots=True)
class Need:
    """What a run, or one of its processes, keeps free.

    Args:
        n_cores: Cores.
        n_gpus: GPUs; 0 on a CPU.
        memory_bytes: Memory; 0 for no promise.
    """

    n_cores: int
    n_gpus: int = 0
    memory_bytes: int = 0

    def share(self, n: int) -> Need:
        """Of each of ``n`` processes."""
        return Need(self.n_cores // n, self.n_gpus // n, self.memory_bytes // n)


@dataclass(frozen=True, slots=True)
class Host:
    """One machine, or the part of one that a cluster offers.

    Args:
        name: Its address, or its name.
        n_cores: Cores that may be used.
        n_gpus: GPUs.
        memory_bytes: Memory that may be used.
    """

    name: str
    n_cores: int
    n_gpus: int
    memory_bytes: int

    def room_for(self, need: Need) -> int:
        """How often there is room for something at once."""
        pairs = [
            (self.n_cores, need.n_cores),
            (self.n_gpus, need.n_gpus),
            (self.memory_bytes, need.memory_bytes),
        ]
        return min(has // wants for has, wants in pairs if wants)


class Cluster(Protocol):
    """Hosts that work can be given to."""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The hosts that are there now, in the order of their names."""
        ...

    @property
    def is_elsewhere(self) -> bool:
        """Whether work may run on another host than this process, or in another folder."""
        ...

    def open(self, n_workers: int, n_threads: int, n_devices: int) -> Engine:
        """Open the engine.

        Args:
            n_workers: Jobs that run at once.
            n_threads: Threads of each process.
            n_devices: GPUs of each job; 0 on a CPU.
        """
        ...

    def call_everywhere(
        self, function: Callable[[Job], Result], job: Job
    ) -> Sequence[tuple[str, Result]]:
        """Call a function once on every host.

        Args:
            function: A module-level function that is done at once.
            job: A value that can be pickled.

        Returns:
            Name of each host, and what the function gave there.
        """
        ...


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """The machine that this process runs on: a `Cluster` of one host.

    Args:
        open_engine: Opens an engine from jobs at once, threads and GPUs.
    """

    open_engine: Callable[[int, int, int], Engine]

    @property
    def hosts(self) -> tuple[Host, ...]:
        """This machine."""
        import torch

        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return (Host(socket.gethostname(), n_cores(), torch.cuda.device_count(), memory),)

    @property
    def is_elsewhere(self) -> bool:
        """Work runs here."""
        return False

    def open(self, n_workers: int, n_threads: int, n_devices: int) -> Engine:
        """See `Cluster.open`."""
        return self.open_engine(n_workers, n_threads, n_devices)

    def call_everywhere(
        self, function: Callable[[Job], Result], job: Job
    ) -> Sequence[tuple[str, Result]]:
        """See `Cluster.call_everywhere`: here."""
        return [(socket.gethostname(), function(job))]


def find_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results, as they are on this host."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def require_same_versions(host: str, versions: Mapping[str, str]) -> None:
    """Refuse a host with other software than this one.

    Args:
        host: Its name.
        versions: What `find_versions` gave there.

    Raises:
        ResourceError: Names the first difference.
    """
    ours = find_versions()
    for name, found in versions.items():
        if found != ours[name]:
            raise ResourceError(
                f"{host}: has {name} {found}, but this host has {ours[name]}, and results must not "
                "depend on where they are made: install the same on all hosts"
            )
