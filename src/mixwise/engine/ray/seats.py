"""The seats of an engine: asked for, placed by Ray, given jobs, stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.engine.cluster import require_same_versions
from mixwise.engine.ray.connection import is_client, is_head_there
from mixwise.engine.ray.seat import CALLS_AT_ONCE, Placed, Seat
from mixwise.engine.ray.wide_seat import WideSeat
from mixwise.errors import ResourceError

_GRACE_SECONDS = 40.0  # a worker has 30 for a snapshot
_SENT = ("HF_", "TRANSFORMERS_", "TOKENIZERS_", "MIXWISE_", "OMP_", "MKL_", "CUBLAS_")
_FOLDERS = ("_CACHE", "_HOME")  # ends of those that name a place on a disk


@dataclass(frozen=True, slots=True)
class SeatResources:
    """What one seat keeps free on its node, or in each of several bundles on several nodes.

    Args:
        n_threads: Threads of each process.
        n_cores: Cores.
        n_gpus: GPUs; 0 on a CPU.
        memory_bytes: Memory; None for no promise.
        n_bundles: Of a wide seat, one for each process of a run; 1 for a seat of one node.
    """

    n_threads: int
    n_cores: int
    n_gpus: int = 0
    memory_bytes: int | None = None
    n_bundles: int = 1

    @property
    def bundle(self) -> dict[str, float]:
        """The same in Ray's words."""
        sizes = {"CPU": self.n_cores, "GPU": self.n_gpus, "memory": self.memory_bytes}
        return {name: size for name, size in sizes.items() if size}


@dataclass(slots=True, eq=False)
class Held:
    """A seat, and what it does.

    Args:
        actor: Ray's handle.
        ref: What is waited for: its place, then the outcome of a job; None while it is idle.
        host: Where it is; empty until it is placed.
        index: Of the job that it does.
        step: The answer to what step the job is at, where that was asked.
        group: Ray's handle of a wide seat's bundles; None for a seat of one node.
    """

    actor: Any
    ref: Any
    host: str = ""
    index: int | None = None
    step: Any = None
    group: Any = None


def choose_variables(environment: Mapping[str, str], *, has_shared_disk: bool) -> dict[str, str]:
    """What of this process's environment a seat's jobs need as it is here.

    Args:
        environment: This process's.
        has_shared_disk: Whether folders are the same there; where they are not, a host's own count.
    """
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_SENT) and (has_shared_disk or not name.endswith(_FOLDERS))
    }


class Seats:
    """Places to work that one engine holds.

    Args:
        ray: The package, connected.
        resources: What each keeps free.
        needs_folder: Whether a host must have this process's folder.
    """

    def __init__(self, ray: Any, resources: SeatResources, *, needs_folder: bool = True) -> None:
        self._ray = ray
        self._resources = resources
        self._needs_folder = needs_folder
        self._is_of_client = is_client()
        self.held: list[Held] = []

    @property
    def are_out_of_reach(self) -> bool:
        """Whether Ray's client, by which they were asked for, has lost its head."""
        return self._is_of_client and not is_client()

    @property
    def idle(self) -> list[Held]:
        """Those that wait for a job."""
        return [held for held in self.held if held.ref is None]

    @property
    def busy(self) -> list[Held]:
        """Those that do a job."""
        return [held for held in self.held if held.index is not None]

    @property
    def is_any_placed(self) -> bool:
        """Whether Ray has found room for one."""
        return any(held.host for held in self.held)

    def ask_for(self, n: int) -> None:
        """Ask for seats until there are as many; there may be no room for all.

        For a wide one Ray waits for its head, and ends this process where that is gone.
        """
        is_wide = self._resources.n_bundles > 1
        for _ in range(n - len(self.held)):
            if is_wide and not is_head_there(self._ray):
                return
            self.held.append(self._ask_wide() if is_wide else self._ask())

    def _ask(self) -> Held:
        actor = self._options(Seat).remote(*self._arguments())
        return Held(actor, actor.place.remote())

    def _ask_wide(self) -> Held:
        from ray.util import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        chosen = self._resources
        group = placement_group([chosen.bundle] * chosen.n_bundles, strategy="PACK")
        first = PlacementGroupSchedulingStrategy(group, 0)
        options = self._options(WideSeat, scheduling_strategy=first)
        actor = options.remote(*self._arguments(), has_shared_disk=self._needs_folder)
        return Held(actor, actor.place.remote(), group=group)

    def _options(self, kind: type, **more: Any) -> Any:
        chosen = self._resources
        return self._ray.remote(kind).options(
            num_cpus=chosen.n_cores,
            num_gpus=chosen.n_gpus,
            memory=chosen.memory_bytes,
            max_concurrency=CALLS_AT_ONCE,
            **more,
        )

    def _arguments(self) -> tuple[int, int, Mapping[str, str], str]:
        chosen = self._resources
        sent = choose_variables(os.environ, has_shared_disk=self._needs_folder)
        return chosen.n_threads, chosen.n_gpus, sent, str(Path.cwd())

    def begin(self, held: Held, function: Callable[..., Any], jobs: Any, index: int) -> None:
        """Give an idle seat a job.

        Args:
            held: The seat.
            function: What is done.
            jobs: Ray's reference to all jobs of the call, in a list that hides it from Ray.
            index: Of the job among them.
        """
        held.index = index
        held.ref = held.actor.work.remote(function, jobs, index)

    def wait(self, seconds: float) -> list[Held]:
        """Seats that have something to say: a place, an outcome or that they are lost."""
        by_ref = {held.ref: held for held in self.held if held.ref is not None}
        if not by_ref:
            time.sleep(seconds)
            return []
        done, _ = self._ray.wait(list(by_ref), num_returns=1, timeout=seconds)
        return [by_ref[ref] for ref in done]

    def place(self, held: Held, placed: Placed) -> None:
        """Take the place of a seat, whose first answer this is.

        Raises:
            ResourceError: If its host has other software, or not this process's folder.
        """
        for one in (placed, *placed.others):
            self._require_usable(one)
        held.host, held.ref = placed.host, None

    def _require_usable(self, placed: Placed) -> None:
        require_same_versions(placed.host, placed.versions)
        if self._needs_folder and not placed.has_folder:
            raise ResourceError(
                f"{placed.host}: has no folder {Path.cwd()}, where this command runs: put the "
                "study on a disk that all hosts share, under the same path, and run it there, or "
                "set `engine.storage`"
            )

    def drop(self, held: Held) -> None:
        """Give up a seat that is lost."""
        self.held.remove(held)
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(held.actor)
            if held.group is not None and is_head_there(self._ray):
                from ray.util import remove_placement_group

                remove_placement_group(held.group)  # ends all that runs there

    def stop_busy(self) -> None:
        """Let every job save what it has done and end; a seat that does not in time is dropped."""
        if self.are_out_of_reach:
            self.held.clear()
        busy = self.busy
        stops = {id(held): held.actor.stop.remote() for held in busy}
        until = time.monotonic() + _GRACE_SECONDS
        left = [*(held.ref for held in busy), *stops.values()]  # a seat begins anew once both ended
        with suppress(self._ray.exceptions.RayError):
            while left and time.monotonic() < until:
                _, left = self._ray.wait(left, num_returns=len(left), timeout=1.0)
        for held in busy:
            if held.ref in left or stops[id(held)] in left or not self._is_sound(held):
                self.drop(held)
            else:
                held.ref = held.index = held.step = None

    def close(self) -> None:
        """The same, and give all seats back."""
        self.stop_busy()
        while self.held:
            self.drop(self.held[-1])

    def _is_sound(self, held: Held) -> bool:
        """Whether a seat that has stopped can do another job."""
        try:
            return not self._ray.get(held.ref, timeout=0).is_spent
        except self._ray.exceptions.RayError:
            return False
