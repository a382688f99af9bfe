"""Run independent jobs on this machine, in worker processes.

Workers are started once and kept; each has its share of the cores, or one GPU of its own. A worker
ends by itself when the process that started it is gone, however that one was killed.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from mixwise.engine.queue import Finished, Job, OnStep, Result
from mixwise.engine.resident import give_memory_back, keeps_something
from mixwise.errors import ResourceError

_POLL_SECONDS = 0.2


class Stopped(Exception):  # noqa: N818 - it is no error
    """Raised inside a job after the engine was told to stop."""


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
        self._context = multiprocessing.get_context("spawn")
        self._steps: Any = self._context.Queue()
        self._stop = self._context.Event()
        self._executor: ProcessPoolExecutor | None = None

    def run(
        self,
        function: Callable[[Job, OnStep], Result],
        jobs: Sequence[Job],
        on_step: Callable[[int, int], None],
    ) -> Iterator[Finished[Result]]:
        """Run a function over jobs and yield each as it finishes; see `Engine.run`."""
        self._stop.clear()
        futures: dict[Future[Result], int] = {
            self._pool().submit(_call, function, job, index): index
            for index, job in enumerate(jobs)
        }
        try:
            while futures:
                done, _ = wait(futures, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                self._drain(on_step)
                for future in done:
                    yield Finished(futures.pop(future), future.result())
        except BrokenProcessPool:
            self.close()
            raise ResourceError(
                "a worker process was killed, most likely for lack of memory: lower "
                "`engine.workers` or `training.batch_sequences`; the same command "
                "goes on from here"
            ) from None
        finally:
            if futures:
                self._stop.set()
                self.close()

    def close(self) -> None:
        """Stop the workers; jobs that have not begun are dropped."""
        self._stop.set()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _pool(self) -> ProcessPoolExecutor:
        if self._executor is None:
            seats = self._context.Queue()
            for seat in range(self.n_workers):
                seats.put(seat)
            self._executor = ProcessPoolExecutor(
                self.n_workers,
                mp_context=self._context,
                initializer=_begin_worker,
                initargs=(
                    seats,
                    self._n_devices,
                    self.n_threads,
                    self._steps,
                    self._stop,
                    os.getpid(),
                ),
            )
        return self._executor

    def _drain(self, on_step: Callable[[int, int], None]) -> None:
        while True:
            try:
                index, step = self._steps.get_nowait()
            except queue.Empty:
                return
            on_step(index, step)


_worker: dict[str, Any] = {}  # what a worker process knows of its engine


def _begin_worker(
    seats: Any,
    n_devices: int,
    n_threads: int,
    steps: Any,
    stop: Any,
    parent: int,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and tells us
    end_without(lambda: os.getppid() == parent)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    steps.cancel_join_thread()  # reports that nobody reads any more must not hold the process
    if n_devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = _slice_of_devices(seats.get(), n_devices)
    import torch

    torch.set_num_threads(n_threads)
    _worker.update(steps=steps, stop=stop)


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


def _call(function: Callable[[Job, OnStep], Result], job: Job, index: int) -> Result:
    def on_step(step: int) -> None:
        if _worker["stop"].is_set():
            raise Stopped
        _worker["steps"].put((index, step))

    try:
        return function(job, on_step)
    finally:
        if not keeps_something():
            give_memory_back()  # the worker may wait for long
