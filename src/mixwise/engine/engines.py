"""The table of engines: where training and evaluation may run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mixwise.engine.cluster import Cluster, ThisMachine
from mixwise.engine.local import LocalEngine
from mixwise.engine.protocol import Engine
from mixwise.engine.ray.cluster import RayCluster, open_ray
from mixwise.errors import RecipeError
from mixwise.recipe.sections import EngineSettings
from mixwise.registry import Table, add_name

_OF_CLUSTERS = ("address", "memory_gb", "storage")  # keys of the recipe's `engine`


@dataclass(frozen=True, slots=True)
class NamedEngine:
    """An engine by its name, a row of the table.

    Args:
        name: Name in recipes, ``engine.cluster``.
        open: Opens the engine from the jobs that run at once, the threads of each, and the GPUs of
            each (0 on a CPU).
        connect: Reaches a cluster, from the recipe's ``engine`` and the processes of one run; None
            for an engine of this machine.
        spreads: Whether a run that no host of the cluster has room for may have several.
    """

    name: str
    open: Callable[[int, int, int], Engine]
    connect: Callable[[EngineSettings, int], Cluster] | None = None
    spreads: bool = False


ENGINES: Table[NamedEngine] = Table(
    "engine",
    (
        NamedEngine("local", LocalEngine),
        NamedEngine("ray", open_ray, RayCluster, spreads=True),
    ),
)


def register_engine(engine: NamedEngine) -> None:
    """Add an engine of your own, and let recipes name it.

    Args:
        engine: The new row; `mixwise.testing.check_engine` says whether it keeps the contract.

    Raises:
        RecipeError: If the name is taken.
    """
    add_name("engine", engine.name)
    ENGINES.add(engine)


def find_cluster(settings: EngineSettings, n_processes: int = 1) -> Cluster:
    """The hosts that a recipe's engine works on.

    Args:
        settings: The recipe's ``engine``.
        n_processes: Processes that one run is spread over.

    Raises:
        RecipeError: If a key of clusters is set for an engine of this machine.
        ResourceError: If the cluster cannot be reached.
        MissingDependencyError: If the engine's package is not installed.
    """
    named = ENGINES.find(settings.cluster)
    if named.connect is not None:
        return named.connect(settings, n_processes)
    for key in _OF_CLUSTERS:
        if key in settings.model_fields_set and getattr(settings, key) is not None:
            raise RecipeError(
                f"`engine.{key}` is of a cluster, but `engine.cluster` is `{settings.cluster}`, "
                "which works on this machine: leave it out, or set `engine.cluster: ray`"
            )
    return ThisMachine(named.open)
