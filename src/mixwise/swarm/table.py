"""Runs as numbers, and which columns of a user's files they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.errors import DataError, printable
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

    Raises:
        DataError: If names stand twice, a direction is none, shapes do not fit each other, a number
            is not finite, or a row of shares does not add up to 1.
    """

    domains: tuple[str, ...]
    metrics: Mapping[str, Direction]
    shares: Array
    values: Array
    places: tuple[str, ...]
    sums: tuple[float, float] = (1.0, 1.0)
    n_alone: int = 0

    def __post_init__(self) -> None:
        require_columns(self.domains, self.metrics)
        n_runs = len(self.places)
        for what, numbers, n_columns in (
            ("shares", self.shares, len(self.domains)),
            ("values", self.values, len(self.metrics)),
        ):
            if numbers.shape != (n_runs, n_columns):
                raise DataError(
                    f"the {what} of {n_runs} runs must have the shape {(n_runs, n_columns)}, but "
                    f"have {numbers.shape}: give a row a run"
                )
            if odd := np.flatnonzero(~np.isfinite(numbers).all(axis=1)).tolist():
                raise DataError(
                    f"{self.places[odd[0]]}: the {what} are {numbers[odd[0]].tolist()}, which are "
                    "not all finite: leave the run out"
                )
        is_mixture = (self.shares >= 0).all(axis=1) & (abs(self.shares.sum(axis=1) - 1) <= _SUM)
        if odd := np.flatnonzero(~is_mixture).tolist():
            raise DataError(
                f"{self.places[odd[0]]}: shares must be at least 0 and add up to 1, but they are "
                f"{self.shares[odd[0]].tolist()}: divide each run's by their sum"
            )

    @property
    def spreads(self) -> Array:
        """Standard deviation of each metric over the runs; 0 where all have the same."""
        varies = self.values.max(axis=0) > self.values.min(axis=0)  # equal numbers may have one
        return np.where(varies, self.values.std(axis=0), 0.0)

    @property
    def fixed(self) -> Mapping[str, float]:
        """Shares that all runs have alike, but for the rounding of their sums; none of one run."""
        if len(self.shares) < 2:
            return {}
        means, reach = self.shares.mean(axis=0), np.ptp(self.shares, axis=0)
        alike = reach <= means * (self.sums[1] - self.sums[0]) + _SUM
        return {
            name: float(mean)
            for name, mean, is_fixed in zip(self.domains, means, alike.tolist(), strict=True)
            if is_fixed
        }

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


def require_columns(domains: Sequence[str], metrics: Mapping[str, Direction]) -> None:
    """Refuse names and directions that are none.

    Raises:
        DataError: If there are none, one is both, stands twice, or improves in no direction.
    """
    if not domains or not metrics:
        raise DataError("runs need a domain and a metric at least: name them")
    names = [*domains, *metrics]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(
            f"`{printable(twice, 80)}` is named twice among domains and metrics: name it once"
        )
    for name, direction in metrics.items():
        if direction not in get_args(Direction):
            raise DataError(
                f"the metric `{printable(name, 80)}` improves by `{printable(str(direction), 80)}`,"
                " which is no direction: say `min` or `max`"
            )


_DECIMALS = 9
_SUM = 1e-6
