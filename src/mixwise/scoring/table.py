"""A scorer over runs that somebody has already made: rows of mixtures and scores.

Every row is one model: its mixture, its metrics, and where it was trained several times, its seed.
A table answers as a proxy does (the mean over the seeds of a mixture) and as a trainer does (its
runs one by one), so that a decision can be made, or a method measured, on tables alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixwise.errors import EvaluationError
from mixwise.mixture import Mixture
from mixwise.objective import Scale
from mixwise.observation import Answer, Measurement, Observation, average_over_seeds
from mixwise.scorer import VALUES, Request


@dataclass(frozen=True, slots=True)
class TableRow:
    """One model.

    Args:
        mixture: What it was trained on, or merged for.
        metrics: Value by metric name, ``set/measure``.
        seed: Of its training.
    """

    mixture: Mixture
    metrics: Mapping[str, float]
    seed: int = 0


class TableScorer:
    """Looks mixtures up in a table.

    Args:
        rows: The models; those of one mixture have different seeds.
        answer: What kind of models they are.

    Raises:
        EvaluationError: If there is no row, rows have different metrics, or one is there twice.
    """

    def __init__(self, rows: Iterable[TableRow], *, answer: Answer = "reference") -> None:
        self._answer = answer
        self._rows: dict[str, dict[int, Observation]] = {}
        names: frozenset[str] | None = None
        for row in rows:
            if names is None:
                names = frozenset(row.metrics)
            if names != frozenset(row.metrics):
                odd = ", ".join(sorted(names ^ frozenset(row.metrics)))
                raise EvaluationError(
                    f"all rows of a table must have the same metrics, but `{row.mixture}` differs "
                    f"in {odd}: add the values or leave the metrics out"
                )
            group = self._rows.setdefault(str(row.mixture), {})
            if row.seed in group:
                raise EvaluationError(
                    f"a table holds `{row.mixture}` with seed {row.seed} twice: give each run its "
                    "own seed"
                )
            group[row.seed] = self._observe(row)
        if names is None:
            raise EvaluationError("a table of runs must have at least one row: add rows")

    @property
    def mixtures(self) -> tuple[Mixture, ...]:
        """The mixtures of the table, in the order of their first rows."""
        firsts = [next(iter(group.values())).mixture for group in self._rows.values()]
        return tuple(mixture for mixture in firsts if mixture is not None)

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Mean over the seeds of each mixture; a table has no slopes.

        Raises:
            EvaluationError: If a mixture is not in the table.
        """
        return tuple(average_over_seeds(runs) for runs in self.runs(mixtures))

    def runs(self, mixtures: Sequence[Mixture]) -> tuple[tuple[Observation, ...], ...]:
        """The runs of each mixture, a seed each.

        Raises:
            EvaluationError: If a mixture is not in the table.
        """
        for mixture in mixtures:
            if str(mixture) not in self._rows:
                raise EvaluationError(
                    f"`{mixture}` is not among the {len(self._rows)} mixtures of the table: give "
                    "the table's mixtures as `candidates`"
                )
        return tuple(tuple(self._rows[str(mixture)].values()) for mixture in mixtures)

    def scale(self) -> Scale:
        """Mean and standard deviation of each metric over the mixtures of the table.

        With it an objective is 0 for the average mixture, and 1 one standard deviation better.
        """
        values = [observation.values for observation in self.score(self.mixtures)]
        columns = {name: np.array([row[name] for row in values]) for name in values[0]}
        return Scale(
            {name: float(column.mean()) for name, column in columns.items()},
            {name: float(column.std()) for name, column in columns.items()},
        )

    def _observe(self, row: TableRow) -> Observation:
        measurements = tuple(
            Measurement(name, np.array([float(value)]), np.ones(1))
            for name, value in row.metrics.items()
        )
        return Observation(
            mixture=row.mixture,
            answer=self._answer,
            rule="",
            seeds=(row.seed,),
            measurements=measurements,
            seconds=0.0,
            tokens_trained=0,
            tokens_evaluated=0,
            fingerprint=f"table {row.mixture} {row.seed}",
        )
