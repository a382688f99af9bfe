"""The table of engines: where training and evaluation may run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mixwise.engine.local import LocalEngine
from mixwise.engine.protocol import Engine
from mixwise.registry import Table, add_name


@dataclass(frozen=True, slots=True)
class NamedEngine:
    """An engine by its name, a row of the table.

    Args:
        name: Name in recipes, ``engine.cluster``.
        open: Opens the engine from the jobs that run at once, the threads of each, and the GPUs of
            each (0 on a CPU).
    """

    name: str
    open: Callable[[int, int, int], Engine]


ENGINES: Table[NamedEngine] = Table("engine", (NamedEngine("local", LocalEngine),))


def register_engine(engine: NamedEngine) -> None:
    """Add an engine of your own, and let recipes name it.

    Args:
        engine: The new row; `mixwise.testing.check_engine` says whether it keeps the contract.

    Raises:
        RecipeError: If the name is taken.
    """
    add_name("engine", engine.name)
    ENGINES.add(engine)
