"""A Ray cluster as hosts that work can be given to: a `Cluster`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mixwise.engine.cluster import Host, Need
from mixwise.engine.protocol import Engine, Job, Result
from mixwise.engine.ray.connection import find_nodes, join, last_line
from mixwise.errors import ResourceError, printable

if TYPE_CHECKING:
    from mixwise.recipe.sections import EngineSettings

_CALL_SECONDS = 120.0  # a node starts a process for the first call


class RayCluster:
    """The nodes of a Ray cluster.

    Args:
        settings: The recipe's ``engine``: where the cluster is, and the memory of a job.
        n_processes: Processes that one run is spread over: on one node, where one has room.

    Raises:
        MissingDependencyError: If Ray is not installed.
        ResourceError: If the cluster cannot be joined.
    """

    def __init__(self, settings: EngineSettings, n_processes: int = 1) -> None:
        self._settings = settings
        self._n_processes = n_processes
        join(settings.address)

    @property
    def _ray(self) -> Any:
        return join(self._settings.address)

    @cached_property
    def hosts(self) -> tuple[Host, ...]:
        """See `Cluster.hosts`."""
        return tuple(node.host for node in find_nodes(self._ray))

    @property
    def is_elsewhere(self) -> bool:
        """See `Cluster.is_elsewhere`: a node may be any host."""
        return True

    def open(self, n_workers: int, n_threads: int, n_devices: int) -> Engine:
        """See `Cluster.open`."""
        from mixwise.engine.ray.engine import RayEngine
        from mixwise.engine.ray.seats import SeatResources

        parts, memory = self._n_processes, int((self._settings.memory_gb or 0) * 1e9)
        whole = Need(n_threads * parts, n_devices, memory)
        is_wide = parts > 1 and not any(host.room_for(whole) for host in self.hosts)
        need = whole.share(parts) if is_wide else whole
        resources = SeatResources(
            n_threads=n_threads,
            n_cores=need.n_cores,
            n_gpus=need.n_gpus,
            memory_bytes=need.memory_bytes or None,
            n_bundles=parts if is_wide else 1,
        )
        is_shared = self._settings.storage is None
        return RayEngine(n_workers, resources, self._settings.address, needs_folder=is_shared)

    def call_everywhere(
        self, function: Callable[[Job], Result], job: Job
    ) -> Sequence[tuple[str, Result]]:
        """See `Cluster.call_everywhere`: beside whatever runs there, with no cores of its own.

        Raises:
            ResourceError: If a node does not answer, as where mixwise is not installed.
        """
        ray = self._ray
        call = ray.remote(num_cpus=0, max_retries=1)(function)
        asked = {
            node.host.name: call.options(scheduling_strategy=_stay_on(node.key)).remote(job)
            for node in find_nodes(ray)
        }
        found = []
        for name, ref in asked.items():
            try:
                found.append((name, ray.get(ref, timeout=_CALL_SECONDS)))
            except ray.exceptions.RayError as error:
                raise ResourceError(
                    f"{name}: this node of the Ray cluster does not answer "
                    f"({printable(last_line(error))}): mixwise must be installed on it, in the "
                    "environment that its Ray runs in"
                ) from None
        return found


def open_ray(n_workers: int, n_threads: int, n_devices: int) -> Engine:
    """Open the engine on the cluster that this host belongs to, one process for each run."""
    from mixwise.recipe.sections import EngineSettings

    return RayCluster(EngineSettings(cluster="ray")).open(n_workers, n_threads, n_devices)


def _stay_on(key: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(key, soft=False)
