"""Run independent jobs on this machine, in worker processes.

Workers are started once and kept; each has its share of the cores, or one GPU of its own. A worker
ends by itself when the process that started it is gone, however that one was killed. Told to stop,
a job has half a minute to save what it has done; then its worker ends.

Signals reach the process that started the workers, and it tells them; a worker that gets a SIGTERM
of its own, as from a scheduler that ends every process of a job, stops in the same way.

Method:
    Workers on CPUs are forked from a server (`multiprocessing.forkserver`) that has imported once
    what each would need seconds for. It hears no signal, and ends with the process that started it.
    Workers with GPUs, and all where forking is not safe, are started anew.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from types import FrameType
from typing import Any, Generic

from mixwise.engine.kept_warnings import keeping_warnings
from mixwise.engine.main_script import require_loaded_script, unloaded_script
from mixwise.engine.protocol import Finished, Job, OnStep, Result, Stopped
from mixwise.engine.worker_cache import give_memory_back, keeps_something
from mixwise.errors import MixwiseWarning, ResourceError
from mixwise.shortages import find_shortage

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 30.0  # for a snapshot; schedulers kill after as long
_IMPORTED_ONCE = ["mixwise.engine.imported_once"]
_ENDING = (signal.SIGTERM, signal.SIGHUP)
KILLED = (
    "a worker process was killed, most likely for lack of memory: lower `engine.workers` or "
    "`training.batch_sequences`; the same command goes on from here"
)
_UNMANAGED = (  # the pool itself does not notice
    "the thread that hands jobs to worker processes has failed, most likely for lack of memory: "
    "lower `engine.workers`, or allow this process more; the same command goes on from here"
)
_UNREADABLE = (
    "a worker process was ended by a bus error: a file that is mapped into memory cannot be read "
    "any more: see that its disk is mounted, and that neither it nor `/dev/shm` is full; the same "
    "command goes on from here"
)


class WorkerKilledError(ResourceError):
    """A worker process ended without a word: something killed it."""


class LocalEngine:
    """Worker processes of this machine: an `Engine`.

    Args:
        n_workers: Jobs that run at once.
        n_threads: Threads of each.
        n_devices: GPUs of each worker, which sees no others; 0 on a CPU.
    """

    def __init__(self, n_workers: int, n_threads: int, n_devices: int = 0) -> None:
        self.n_workers = n_workers
        self.n_threads = n_threads
        self._n_devices = n_devices
        self._context = multiprocessing.get_context("spawn")  # of what processes share
        self._steps: Any = self._context.Queue()
        self._stop = self._context.RawValue("b", 0)  # no lock, which a killed worker might hold
        self._has_begun = self._context.RawValue("b", 0)  # whether any worker has
        self._executor: ProcessPoolExecutor | None = None
        self._starter = ThreadPoolExecutor(1)  # no interrupt reaches its thread
        self._n_runs = 0  # a report of an earlier call can arrive late

    def run(
        self,
        function: Callable[[Job, OnStep], Result],
        jobs: Sequence[Job],
        on_step: Callable[[int, int], None],
    ) -> Iterator[Finished[Result]]:
        """Run a function over jobs and yield each as it finishes; see `Engine.run`.

        Raises:
            WorkerKilledError: If a worker was killed.
            ScriptError: If workers cannot load the script that this process runs.
        """
        self._stop.value = 0
        self._n_runs += 1
        futures: dict[Future[_Done[Result]], int] = {}
        try:
            for index, job in enumerate(jobs):
                futures[self._submit(partial(_call, function, job, (self._n_runs, index)))] = index
            while futures:
                done, _ = wait(futures, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                if not self._has_manager() and not any(each.done() for each in futures):
                    raise ResourceError(_UNMANAGED)
                self._drain(on_step)
                for future in done:
                    index = futures.pop(future)
                    yield Finished(index, _unpack(future))
        except (BrokenProcessPool, Stopped) as error:
            codes = self._exit_codes()
            could_load = self._has_begun.value or not any(code > 0 for code in codes)
            self.close()
            if not could_load:
                raise unloaded_script() from None
            if isinstance(error, Stopped):
                raise ResourceError(
                    "a worker process was told to stop (SIGTERM) by someone else: run the same "
                    "command again; it goes on from here"
                ) from None
            raise WorkerKilledError(_UNREADABLE if -signal.SIGBUS in codes else KILLED) from None
        finally:
            if futures:
                self.close()

    def _submit(self, call: Callable[[], _Done[Result]]) -> Future[_Done[Result]]:
        """Hand a job over; the first ones start the workers, by a server that may be killed too.

        Whoever interrupts that waits for its end: a worker that is started by half would look for
        what its parent, gone by then, shares with it.
        """
        pool = self._pool()
        try:
            return self._starter.submit(pool.submit, call).result()
        except (EOFError, ConnectionError):
            self.close()
            raise WorkerKilledError(KILLED) from None
        except BaseException:
            self._wait_for_starter()
            self.close()
            raise

    def _wait_for_starter(self) -> None:
        """Wait until its thread is there, and all that was asked of it is done."""
        self._starter.submit(int).result()

    def close(self) -> None:
        """Stop the workers; jobs that have not begun are dropped."""
        self._stop.value = 1
        if self._executor is not None:
            is_managed = self._has_manager()
            left = () if is_managed else tuple(self._executor._processes.values())
            self._executor.shutdown(wait=is_managed, cancel_futures=True)
            self._executor = None
            for process in left:  # nobody else ends them
                process.kill()

    def _has_manager(self) -> bool:
        """Whether the pool's own thread is there, or was not needed yet."""
        thread: Any = getattr(self._executor, "_executor_manager_thread", None)
        return thread is None or thread.is_alive()

    def _exit_codes(self) -> list[int]:
        """Of the workers that have ended: positive in an error, negative by a signal."""
        processes = () if self._executor is None else self._executor._processes.values()
        return [process.exitcode for process in processes if process.exitcode]

    def _pool(self) -> ProcessPoolExecutor:
        if self._executor is None:
            require_loaded_script()
            self._wait_for_starter()
            self._has_begun.value = 0
            seats = self._context.Queue()
            for seat in range(self.n_workers):
                seats.put(seat)
            self._executor = ProcessPoolExecutor(
                self.n_workers,
                mp_context=_context(self._n_devices),
                initializer=_begin_worker,
                initargs=(
                    seats,
                    self._n_devices,
                    self.n_threads,
                    self._steps,
                    self._stop,
                    self._has_begun,
                    dict(os.environ),
                ),
            )
        return self._executor

    def _drain(self, on_step: Callable[[int, int], None]) -> None:
        while True:
            try:
                (run, index), step = self._steps.get_nowait()
            except queue.Empty:
                return
            if run == self._n_runs:
                on_step(index, step)


def _context(n_devices: int) -> BaseContext:
    """How workers are started; where a server forks them, it runs from now on."""
    spawn = multiprocessing.get_context("spawn")
    if n_devices or sys.platform != "linux":
        return spawn
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_ONCE)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # the server inherits it
    try:
        forkserver.ensure_running()
    except ChildProcessError:  # it is our parent's, of which we are a fork
        return spawn
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


@dataclass(frozen=True, slots=True)
class _Done(Generic[Result]):
    """What comes back from a worker: a result, and what was warned of on the way."""

    result: Result
    warnings: tuple[str, ...]


def _unpack(future: Future[_Done[Result]]) -> Result:
    """The result of a job; its warnings are given here, as if it had run in this process."""
    error = future.exception()
    texts = getattr(error, _WARNINGS, ()) if error else future.result().warnings
    for text in texts:
        warnings.warn(text, MixwiseWarning, stacklevel=2)
    return future.result().result


_WARNINGS = "mixwise_warnings"  # attribute of an error that a job has raised


@dataclass(slots=True)
class _Worker:
    """What a worker process knows of its engine, and of itself."""

    steps: Any = None
    stop: Any = None
    is_busy: bool = False
    is_told: bool = False  # by a signal of its own

    @property
    def must_stop(self) -> bool:
        return self.is_told or bool(self.stop.value)


_worker = _Worker()


def _begin_worker(
    seats: Any,
    n_devices: int,
    n_threads: int,
    steps: Any,
    stop: Any,
    has_begun: Any,
    environment: Mapping[str, str],
) -> None:
    has_begun.value = 1
    for number in (signal.SIGINT, signal.SIGHUP):  # the parent hears them and tells us
        signal.signal(number, signal.SIG_IGN)
    _worker.steps, _worker.stop = steps, stop
    signal.signal(signal.SIGTERM, _hear_sigterm)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker has one
    end_without(parent.is_alive)
    threading.Thread(target=_end_in_time, daemon=True).start()
    for name in os.environ.keys() - environment.keys():  # the server may be older
        del os.environ[name]
    os.environ.update({**environment, "TOKENIZERS_PARALLELISM": "false"})
    steps.cancel_join_thread()  # reports that nobody reads any more must not hold the process
    if n_devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = _slice_of_devices(seats.get(), n_devices)
    import torch

    torch.set_num_threads(n_threads)


def _hear_sigterm(number: int, frame: FrameType | None) -> None:
    _worker.is_told = True
    if not _worker.is_busy:
        os._exit(128 + number)


def _end_in_time() -> None:
    """End this process some time after it was told to stop, whatever its job does."""
    while not _worker.must_stop:
        time.sleep(_POLL_SECONDS)
    until = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < until and (_worker.is_busy or not _worker.is_told):
        time.sleep(_POLL_SECONDS)
    time.sleep(_POLL_SECONDS)  # for the job's last word to leave this process
    os._exit(1)


def _slice_of_devices(seat: int, n_devices: int) -> str:
    """The worker's GPUs among those that its parent may see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name for name in visible.split(",") if name]
    chosen = range(seat * n_devices, (seat + 1) * n_devices)
    return ",".join(names[k] if k < len(names) else str(k) for k in chosen)


def end_without(is_there: Callable[[], bool]) -> None:
    """End this process as soon as what it works for is gone, however that was killed.

    Args:
        is_there: Asked several times a second, from a thread of its own.
    """

    def watch() -> None:
        while is_there():
            time.sleep(_POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end_without_process(process: int) -> None:
    """The same, where that is a process of this host.

    Args:
        process: Its number.
    """

    def is_there() -> bool:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        return True

    end_without(is_there)


def _call(
    function: Callable[[Job, OnStep], Result], job: Job, place: tuple[int, int]
) -> _Done[Result]:
    """Do a job; what it reports goes with its place: the engine's run, and the job's index."""

    def on_step(step: int) -> None:
        if _worker.must_stop:
            raise Stopped
        _worker.steps.put((place, step))

    texts: list[str] = []
    _worker.is_busy = True
    try:
        with keeping_warnings(texts):
            return _Done(function(job, on_step), tuple(texts))
    except Exception as error:
        shortage = find_shortage(error)  # what lies behind an error stays in this process
        setattr(shortage or error, _WARNINGS, tuple(texts))
        if shortage is not None:
            raise shortage from error
        raise
    finally:
        _worker.is_busy = False
        if not keeps_something():
            give_memory_back()  # the worker may wait for long
