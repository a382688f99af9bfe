"""A seat: what runs on a node of the cluster, one for each job that may run at once.

Method:
    A seat is an actor that holds its cores, GPUs and memory for as long as the engine is open, and
    keeps one worker process of `LocalEngine`, in which jobs run as they do without a cluster: the
    same process, threads, signals and snapshots, so the same bytes. The worker keeps base, store
    and evaluation tensors open between jobs, and gives them up before it trains. It ends with the
    actor, the actor with the process that asked for it.

This module is loaded on every node.
"""

from __future__ import annotations

import os
import socket
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.engine.cluster import find_versions
from mixwise.engine.kept_warnings import keeping_warnings
from mixwise.engine.local import LocalEngine, WorkerKilledError
from mixwise.engine.team import READY, DoneElsewhere, NotSaidError
from mixwise.errors import MixwiseWarning

CALLS_AT_ONCE = 4  # of an actor: a job, its steps, a stop
_DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes back from a seat.

    Args:
        result: Of the job; None where it failed.
        error: What the job raised.
        is_killed: Whether its process was killed or its host lost, so that it may be tried again.
        warnings: What was warned of on the way.
        why: What was killed or lost, where the seat alone knows.
        is_spent: Whether the seat can do no other job.
    """

    result: Any
    error: Exception | None = None
    is_killed: bool = False
    warnings: tuple[str, ...] = ()
    why: str = ""
    is_spent: bool = False

    @property
    def is_failed(self) -> bool:
        """Whether there is no result."""
        return self.is_killed or self.error is not None

    @property
    def is_explained(self) -> bool:
        """Whether it has failed, and says why."""
        return self.is_failed and not isinstance(self.error, NotSaidError)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a seat is.

    Args:
        host: Name of its host.
        versions: Of what decides results there.
        has_folder: Whether the folder where the command runs is there too.
        node: Ray's key of the node.
        address: Of the node.
        devices: GPUs that Ray has given the seat, as ``CUDA_VISIBLE_DEVICES`` names them.
        others: The same of the other nodes of a wide seat.
    """

    host: str
    versions: Mapping[str, str]
    has_folder: bool
    node: str = ""
    address: str = ""
    devices: tuple[str, ...] = ()
    others: tuple[Placed, ...] = ()


class Seat:
    """One place to work, on some node.

    Args:
        n_threads: Threads of each process.
        n_devices: GPUs of the worker; 0 on a CPU.
        environment: Variables that jobs need as they are on the host that asks.
        folder: Where relative paths begin.
    """

    def __init__(
        self, n_threads: int, n_devices: int, environment: Mapping[str, str], folder: str
    ) -> None:
        os.environ.pop("OMP_NUM_THREADS", None)  # Ray's own: ours is `n_threads`
        os.environ.update(environment)
        vars(sys.modules["__main__"]).pop("__file__", None)  # Ray's, which workers need not load
        self._folder = Path(folder)
        self._n_threads = n_threads
        self._engine = LocalEngine(1, n_threads, n_devices)
        self._jobs: Sequence[Any] = ()
        self._jobs_ref: Any = None
        self._step = 0
        self.is_ready = False

    def place(self) -> Placed:
        """Where this seat is."""
        import ray

        has_folder = self._folder.is_dir()
        if has_folder:
            os.chdir(self._folder)
        devices = tuple(filter(None, os.environ.get(_DEVICES, "").split(",")))
        return Placed(
            socket.gethostname(),
            find_versions(),
            has_folder,
            ray.get_runtime_context().get_node_id(),
            ray.util.get_node_ip_address(),
            devices if ray.get_gpu_ids() else (),
        )

    def widen(self, devices: Sequence[str]) -> None:
        """Work with the GPUs of all seats of a node.

        Args:
            devices: As ``CUDA_VISIBLE_DEVICES`` names them; none on a CPU.
        """
        if devices:
            os.environ[_DEVICES] = ",".join(devices)
            self._engine = LocalEngine(1, self._n_threads, len(devices))

    def work(self, function: Callable[..., Any], jobs: Sequence[Any], index: int) -> Outcome:
        """Do a job.

        Args:
            function: Of a job and a callback of steps.
            jobs: Ray's reference to the jobs of a call; they are fetched once.
            index: Of the job among them.
        """
        self._step, self.is_ready = 0, False
        texts: list[str] = []
        with keeping_warnings(texts):
            try:
                [finished] = self._engine.run(function, [self._fetch(jobs[0])[index]], self._note)
            except DoneElsewhere:
                return Outcome(None, warnings=tuple(texts))
            except WorkerKilledError as error:
                return Outcome(None, error, is_killed=True, warnings=tuple(texts))
            except Exception as error:
                return Outcome(None, error, warnings=tuple(texts))
        return Outcome(finished.result, warnings=tuple(texts))

    def _fetch(self, ref: Any) -> Sequence[Any]:
        import ray

        if self._jobs_ref != ref:
            self._jobs, self._jobs_ref = ray.get(ref), ref
        return self._jobs

    def _note(self, index: int, step: int) -> None:
        if step == READY:
            self.is_ready = True
        else:
            self._step = step

    def step(self) -> int:
        """Steps that the job has reported."""
        return self._step

    def stop(self) -> None:
        """Let the job save what it has done and end, within half a minute."""
        self._engine.close()


def warn_again(texts: tuple[str, ...]) -> None:
    """Give the warnings of a job in this process."""
    for text in texts:
        warnings.warn(text, MixwiseWarning, stacklevel=3)
