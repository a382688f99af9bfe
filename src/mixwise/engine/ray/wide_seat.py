"""A wide seat: a place to work over several nodes, for runs that no node has room for.

Method:
    Ray reserves a bundle for each process of a run, on as few nodes as it can (a placement group,
    ``PACK``). This actor holds the first, and starts a seat in each of the others; the first seat
    of a node works for all that are there, and sees their GPUs. It does every job itself, and gives
    one that reports `READY` to the other nodes too (`mixwise.engine.team`).

    A run is whole or nothing: as soon as a node is lost or its processes have failed the job has
    failed, the whole seat is given up, and all processes of the run end with it.

This module is loaded on every node.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mixwise.engine.ray.connection import last_line
from mixwise.engine.ray.seat import CALLS_AT_ONCE, Outcome, Placed, Seat
from mixwise.engine.team import NotSaidError, Team, call_in_team
from mixwise.errors import printable

_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 60.0  # from an end after which the others have nothing to do


@dataclass(slots=True, eq=False)
class _Member:
    """The first seat of a node beside this one.

    Args:
        actor: Ray's handle.
        placed: Where it is.
        ref: Of its part of the job; None before it has one.
        outcome: Of its part; None until it has ended.
    """

    actor: Any
    placed: Placed
    ref: Any = None
    outcome: Outcome | None = None


class WideSeat:
    """A place to work over several nodes; see `mixwise.engine.ray.seat.Seat`.

    Args:
        n_threads: Threads of each process.
        n_devices: GPUs of each process; 0 on a CPU.
        environment: Variables that jobs need as they are on the host that asks.
        folder: Where relative paths begin.
        has_shared_disk: Whether all nodes see the same folders.
    """

    def __init__(
        self,
        n_threads: int,
        n_devices: int,
        environment: Mapping[str, str],
        folder: str,
        *,
        has_shared_disk: bool,
    ) -> None:
        self._arguments = (n_threads, n_devices, environment, folder)
        self._has_shared_disk = has_shared_disk
        self._first = Seat(*self._arguments)
        self._held: list[Any] = []  # a seat goes with its last handle
        self._members: list[_Member] = []
        self._teams: list[Team] = []
        self._own_thread = ThreadPoolExecutor(1)

    def place(self) -> Placed:
        """Where this seat is, once it is there on every node."""
        import ray

        group = ray.util.get_current_placement_group()
        assert group is not None  # this actor was placed by one
        self._held = [self._start(ray, group, k) for k in range(1, group.bundle_count)]
        placed = self._first.place()
        found = ray.get([actor.place.remote() for actor in self._held])
        of_node: dict[str, list[Placed]] = {placed.node: [placed]}
        for actor, where in zip(self._held, found, strict=True):
            if where.node not in of_node:
                self._members.append(_Member(actor, where))
            of_node.setdefault(where.node, []).append(where)
        self._first.widen(_devices(of_node[placed.node]))
        for member in self._members:
            ray.get(member.actor.widen.remote(_devices(of_node[member.placed.node])))
        hosts = [placed, *(member.placed for member in self._members)]
        counts = tuple(len(of_node[host.node]) for host in hosts)
        self._teams = [
            Team(rank, counts, placed.address, 0, host.address, self._has_shared_disk)
            for rank, host in enumerate(hosts)
        ]
        return replace(placed, others=tuple(member.placed for member in self._members))

    def _start(self, ray: Any, group: Any, bundle: int) -> Any:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        size = group.bundle_specs[bundle]
        options = ray.remote(Seat).options(
            num_cpus=size.get("CPU", 0),
            num_gpus=size.get("GPU", 0),
            memory=size.get("memory"),
            max_concurrency=CALLS_AT_ONCE,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, bundle),
        )
        return options.remote(*self._arguments)

    def work(self, function: Callable[..., Any], jobs: Sequence[Any], index: int) -> Outcome:
        """Do a job, on all nodes if it asks for them; see `Seat.work`."""
        port = free_port()
        calls = [partial(call_in_team, function, replace(team, port=port)) for team in self._teams]
        own = self._own_thread.submit(self._first.work, calls[0], jobs, index)
        for member in self._members:
            member.ref = member.outcome = None
        is_given, until = False, None
        while not self._is_over(own) and (until is None or time.monotonic() < until):
            if own.done():
                time.sleep(_POLL_SECONDS)
            else:
                wait([own], timeout=_POLL_SECONDS)
            if not is_given and self._first.is_ready:
                is_given = True
                for member, call in zip(self._members, calls[1:], strict=True):
                    member.ref = member.actor.work.remote(call, jobs, index)
            if until is None and self._must_others_end(own):
                until = time.monotonic() + _PATIENCE_SECONDS
        return self._conclude(own)

    def _is_over(self, own: Future[Outcome]) -> bool:
        """Whether every host's part has ended, or one in a way that explains the others' ends."""
        self._take()
        given = [member.outcome for member in self._members if member.ref is not None]
        parts = [own.result() if own.done() else None, *given]
        return None not in parts or any(part is not None and part.is_explained for part in parts)

    def _take(self) -> None:
        import ray

        for member in self._members:
            if member.ref is None or member.outcome is not None:
                continue
            if ray.wait([member.ref], timeout=0)[0]:
                try:
                    member.outcome = ray.get(member.ref)
                except ray.exceptions.RayError as error:
                    why = f"the worker on {member.placed.host} was lost ({_shown(error)})"
                    member.outcome = Outcome(None, is_killed=True, why=why)

    def _must_others_end(self, own: Future[Outcome]) -> bool:
        """Whether the first host's part has ended, or another's has failed.

        Others may end well before the first, which still has to put away what was made.
        """
        ended = [member.outcome for member in self._members if member.outcome is not None]
        return own.done() or any(outcome.is_failed for outcome in ended)

    def _conclude(self, own: Future[Outcome]) -> Outcome:
        """One outcome of all: that of the first where it is good, else what explains it best."""
        given = [member for member in self._members if member.ref is not None]
        others = [(member.placed.host, member.outcome) for member in given]
        parts = [(socket.gethostname(), own.result() if own.done() else None), *others]
        texts = tuple(dict.fromkeys(text for _, part in parts if part for text in part.warnings))
        if not given:
            return own.result()
        is_sound = all(part is not None and not part.is_failed for _, part in parts)
        first = parts[0][1]
        if first is not None and not first.is_failed:
            return replace(first, warnings=texts, is_spent=not is_sound)
        return replace(_explain(parts), warnings=texts, is_spent=True)

    def step(self) -> int:
        """See `Seat.step`."""
        return self._first.step()

    def stop(self) -> None:
        """See `Seat.stop`: processes of the other nodes hear it from the first, and end."""
        self._first.stop()


def _devices(placed: Sequence[Placed]) -> tuple[str, ...]:
    """GPUs of a node."""
    return tuple(device for one in placed for device in one.devices)


def _explain(parts: Sequence[tuple[str, Outcome | None]]) -> Outcome:
    """Why a job has failed: a host that was lost or a process that was killed, else an error.

    Where one host says why in words of ours, the others' are of the lost connection.
    """
    for host, part in parts:
        if part is not None and part.is_killed:
            return replace(part, why=part.why or f"a worker process on {host} was killed")
    said = [part for _, part in parts if part is not None and part.is_explained]
    if said:
        return said[0]
    if any(part is None for _, part in parts):
        silent = ", ".join(host for host, part in parts if part is None)
        return Outcome(None, is_killed=True, why=f"the processes on {silent} did not end")
    texts = [f"{host}: {part.error}" for host, part in parts if part is not None and part.error]
    return Outcome(None, NotSaidError("; ".join(texts)))


def _shown(error: Exception) -> str:
    return printable(last_line(error))


def free_port() -> int:
    """A port of this host that nobody uses now."""
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])
