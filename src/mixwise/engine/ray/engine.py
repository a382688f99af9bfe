"""Run independent jobs on the nodes of a Ray cluster: an `Engine`.

Method:
    Seats (`mixwise.engine.ray.seat`) are placed by Ray wherever their cores, GPUs and memory are
    free, and take the next job as they become free. Seats for which there is no room wait for it,
    so that a node which joins later takes its share. The jobs of a call travel once, as one object.

    A seat whose process or node dies is replaced, and its job begins anew, from its last snapshot
    where it has one; a job whose process dies again and again is given up. Results return to this
    process, which alone writes the ledger. A head that is gone ends the call.

Departures:
    Ray's own retries and queues are not used: how often a job may die, what is said of it, and that
    it stops with a snapshot, are mixwise's.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mixwise.engine.protocol import Finished, Job, OnStep, Result
from mixwise.engine.ray.connection import is_client, is_head_there, join, last_line, leave
from mixwise.engine.ray.seat import Outcome, warn_again
from mixwise.engine.ray.seats import Held, SeatResources, Seats
from mixwise.errors import BusyError, MixwiseWarning, ResourceError, first_line, printable

_POLL_SECONDS = 0.5  # a job's steps are asked for as often
_HEAD_SECONDS = 3.0  # between two looks at the head
_PATIENCE_SECONDS = 30.0  # without a seat, until that is said
_MOST_DEATHS = 3  # of one job, or of a seat before its first
_MOST_MISSES = 3  # looks at the head, one after the other
_BUSY_SECONDS = 60.0  # that a run may still be held by the process of a lost node
_AGAIN_SECONDS = 2.0  # between two tries of such a run


class RayEngine:
    """Seats on the nodes of a Ray cluster: an `Engine`.

    Args:
        n_workers: Jobs that run at once, and with it the parts that evaluations are cut into.
        resources: What each keeps free.
        address: Of the cluster, as in recipes.
        needs_folder: Whether every host must have the folder where the command runs.
    """

    def __init__(
        self,
        n_workers: int,
        resources: SeatResources,
        address: str = "auto",
        *,
        needs_folder: bool = True,
    ) -> None:
        self.n_workers = n_workers
        self._resources = resources
        self._address = address
        self._needs_folder = needs_folder
        self._seats: Seats | None = None

    def run(
        self,
        function: Callable[[Job, OnStep], Result],
        jobs: Sequence[Job],
        on_step: Callable[[int, int], None],
    ) -> Iterator[Finished[Result]]:
        """Run a function over jobs and yield each as it finishes; see `Engine.run`."""
        ray = join(self._address)
        if self._seats is None:
            self._seats = Seats(ray, self._resources, needs_folder=self._needs_folder)
        is_whole = False
        try:
            call = _Call(ray, self._seats, self.n_workers, function, jobs)
            while not call.is_done:
                call.fill()
                yield from call.take()
                call.tell_steps(on_step)
            is_whole = True
        except ray.exceptions.RayError as error:
            raise _lost_cluster(first_line(error)) from None
        except SystemError as error:  # Python's, for what a signal's handler raised inside of Ray
            raise error.__cause__ or error from None
        except Exception as error:  # Ray's client has no kind of its own
            if self._seats.are_out_of_reach:
                raise _lost_cluster(first_line(error)) from None
            raise
        finally:
            if not is_whole:
                self._seats.stop_busy()

    def close(self) -> None:
        """Stop the seats; jobs that have not begun are dropped."""
        if self._seats is not None:
            self._seats.close()
            self._seats = None
        leave()


class _Call:
    """One call of `RayEngine.run`: which jobs wait, which are done, how often they died."""

    def __init__(
        self,
        ray: Any,
        seats: Seats,
        n_workers: int,
        function: Callable[..., Any],
        jobs: Sequence[Any],
    ) -> None:
        self._ray = ray
        self._seats = seats
        self._n_workers = n_workers
        self._function = function
        self._waiting = deque(range(len(jobs)))
        self._jobs = [ray.put(list(jobs))] if jobs else []
        self._deaths: Counter[int] = Counter()
        self._n_unplaced = 0
        self._n_misses = 0
        self._held_since: dict[int, float] = {}  # runs that another process still holds
        self._begun = self._looked = time.monotonic()
        self._is_told = False

    @property
    def is_done(self) -> bool:
        """Whether every job has ended."""
        return not self._waiting and not self._seats.busy

    def fill(self) -> None:
        """Give waiting jobs to idle seats, and ask for as many seats as may be of use."""
        self._seats.ask_for(min(self._n_workers, len(self._waiting) + len(self._seats.busy)))
        for held in self._seats.idle[: len(self._waiting)]:
            self._seats.begin(held, self._function, self._jobs, self._waiting.popleft())

    def take(self) -> Iterator[Finished[Any]]:
        """Wait for a moment, and yield what has finished.

        Raises:
            ResourceError: If the head is gone, a worker cannot begin or give back a job, or a job's
                processes die again and again.
            Exception: What a job raised.
        """
        for held in self._seats.wait(_POLL_SECONDS):
            try:
                answer = self._ray.get(held.ref)
            except self._ray.exceptions.RayTaskError as error:
                if not isinstance(error.cause, self._ray.exceptions.RayError):
                    raise _no_begin(held.host, last_line(error)) from None
                self._replace(held, last_line(error))  # a node of a wide seat is lost
                continue
            except self._ray.exceptions.RayError as error:
                self._replace(held, last_line(error))
                continue
            if held.index is None:
                self._seats.place(held, answer)
                continue
            index, held.index, held.ref, held.step = held.index, None, None, None
            if answer.is_spent:
                self._seats.drop(held)
            yield from self._finish(index, held.host, answer)
        self._look_after()

    def tell_steps(self, on_step: Callable[[int, int], None]) -> None:
        """Tell the steps that jobs have come to, and ask for the next."""
        for held in self._seats.busy:
            if held.step is not None:
                done, _ = self._ray.wait([held.step], timeout=0)
                if not done:
                    continue
                try:
                    step = self._ray.get(held.step)
                except self._ray.exceptions.RayError:  # its seat is lost: seen when it is taken
                    step = 0
                if step:
                    assert held.index is not None  # it is busy
                    on_step(held.index, step)
            held.step = held.actor.step.remote()

    def _finish(self, index: int, host: str, outcome: Outcome) -> Iterator[Finished[Any]]:
        warn_again(outcome.warnings)
        if outcome.is_killed:
            self._try_again(index, outcome.why or f"a worker process on {host} was killed")
        elif isinstance(outcome.error, BusyError) and self._may_wait(index):
            time.sleep(_AGAIN_SECONDS)
            self._waiting.append(index)
        elif outcome.error is not None:
            raise outcome.error
        else:
            yield Finished(index, outcome.result)

    def _may_wait(self, index: int) -> bool:
        """Whether a run that another process holds may be its own, on a host that was lost.

        Or of a command that was killed: Ray keeps the places of its client's for half a minute.
        """
        since = self._held_since.setdefault(index, time.monotonic())
        may_be_own = self._deaths[index] > 0 or is_client()
        return may_be_own and time.monotonic() - since < _BUSY_SECONDS

    def _replace(self, held: Held, why: str) -> None:
        """Give up a lost seat, and let its job begin anew."""
        self._seats.drop(held)
        if held.index is not None:
            self._try_again(held.index, f"the worker on {held.host} was lost ({printable(why)})")
            return
        self._n_unplaced += 1
        if self._n_unplaced >= _MOST_DEATHS * self._n_workers:
            raise ResourceError(
                f"the Ray cluster starts no worker ({printable(why)}): mixwise must be installed "
                "on every host, in the environment that its Ray runs in"
            )

    def _try_again(self, index: int, why: str) -> None:
        self._deaths[index] += 1
        if self._deaths[index] >= _MOST_DEATHS:
            raise ResourceError(
                f"{why}, and the same job's {_MOST_DEATHS} times, most likely for lack of memory: "
                "lower `engine.workers` or `training.batch_sequences`, or give it more by "
                "`engine.memory_gb`; the same command goes on from here"
            )
        warnings.warn(
            f"{why}: its job begins anew, from its last snapshot if it has one",
            MixwiseWarning,
            stacklevel=2,
        )
        self._waiting.appendleft(index)

    def _look_after(self) -> None:
        """Say that there is no room; end where the head is gone."""
        now = time.monotonic()
        if now - self._looked > _HEAD_SECONDS:
            self._looked = now
            self._n_misses = 0 if is_head_there(self._ray) else self._n_misses + 1
            if self._n_misses >= _MOST_MISSES:
                raise _lost_cluster("its head does not answer")
        if self._is_told or self._seats.is_any_placed or now - self._begun < _PATIENCE_SECONDS:
            return
        self._is_told = True
        warnings.warn(
            "the Ray cluster has had no room for a worker for half a minute: other work holds it, "
            "or no node is large enough (`ray status` tells); it is waited for",
            MixwiseWarning,
            stacklevel=2,
        )


def _no_begin(host: str, why: str) -> ResourceError:
    """The seat is there, but what is sent to it or comes back cannot be read."""
    place = host or "a worker of the Ray cluster"
    return ResourceError(
        f"{place}: cannot read its job, or not send what came of it ({printable(why)}): mixwise, "
        "and modules of your own that the recipe names, must be installed on every host, in the "
        "environment that its Ray runs in"
    )


def _lost_cluster(why: str) -> ResourceError:
    return ResourceError(
        f"the Ray cluster is lost ({printable(why)}): start it again, and run the same command "
        "again; it goes on from here"
    )
