"""Runs as numbers, and which columns of a user's files they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.objective import Direction


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of the columns.

    Args:
        domains: Columns of shares; none for those whose rows add up to 1.
        metrics: Columns of the objective, and the direction in which each improves, None for that
            which its name tells; no columns for all that are left.
        by: Columns that tell which rows of several files belong together; none for those that
            all files have.
    """

    domains: tuple[str, ...] = ()
    metrics: Mapping[str, Direction | None] = field(default_factory=dict)
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SwarmTable:
    """Runs, a row each.

    Args:
        domains: Names.
        metrics: The direction in which each improves, by name; all belong to the objective.
        shares: Shape ``(n_runs, n_domains)``; every row adds up to 1.
        values: Of the metrics, ``(n_runs, n_metrics)``.
        places: Where each run stands, ``file:line``.
        sums: The smallest and the largest sum of a run's shares as they stood in the file.
        n_alone: Rows of one file that no row of the others belongs to, and that are left out.
    """

    domains: tuple[str, ...]
    metrics: Mapping[str, Direction]
    shares: Array
    values: Array
    places: tuple[str, ...]
    sums: tuple[float, float] = (1.0, 1.0)
    n_alone: int = 0

    @property
    def signs(self) -> Array:
        """+1 where a larger metric is better, −1 where a smaller one is, ``(n_metrics,)``."""
        return np.array([1.0 if way == "max" else -1.0 for way in self.metrics.values()])

    @property
    def mixture_of_run(self) -> npt.NDArray[np.intp]:
        """Which distinct mixture each run was trained on, in the order of their first runs."""
        keys = [tuple(row) for row in self.shares.round(_DECIMALS).tolist()]
        places = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return np.array([places[key] for key in keys])

    def runs_of(self, column: Array) -> Sequence[Sequence[float]]:
        """A number a run as lists, one for each distinct mixture."""
        groups: dict[int, list[float]] = {}
        for mixture, value in zip(self.mixture_of_run.tolist(), column.tolist(), strict=True):
            groups.setdefault(mixture, []).append(value)
        return list(groups.values())


_DECIMALS = 9
