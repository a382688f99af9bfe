"""What models scored, and how metrics become one objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from mixwise.decision.score import OBJECTIVE, Score
from mixwise.objective import Direction, Objective, Scale

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class SeedScore:
    """What one trained model scored.

    Args:
        seed: Of its training.
        objective: J, larger is better.
        metrics: Value by metric name.
    """

    seed: int
    objective: float
    metrics: Mapping[str, float]

    def value(self, name: str) -> float:
        """A metric by name, or the objective."""
        return self.objective if name == OBJECTIVE else self.metrics[name]


@dataclass(frozen=True, slots=True)
class BothAnswers:
    """One mixture by both answers.

    Args:
        name: What it is called; empty for a mixture without a name.
        proxy: By the merged model.
        runs: By trained models, one per seed.
        expected_gain: Regret that training it was expected to save; None where it had no choice.
    """

    name: str
    proxy: Score
    runs: tuple[SeedScore, ...]
    expected_gain: float | None = None

    def reached(self, name: str = OBJECTIVE) -> float | None:
        """Mean over seeds of a metric or the objective; None when it was not trained."""
        return fmean(run.value(name) for run in self.runs) if self.runs else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mixture that the proxy scored.

    Args:
        name: Of a baseline; empty for any other.
        score: By the proxy.
        within_bounds: Whether it might be recommended.
    """

    name: str
    score: Score
    within_bounds: bool


@dataclass(frozen=True, slots=True)
class Profiles:
    """Metrics along the line on which one domain's share goes from 0 to 1.

    Args:
        shares: Grid of that share, in [0, 1].
        lines: Values on the grid, by domain and then by metric.
    """

    shares: tuple[float, ...]
    lines: Mapping[str, Mapping[str, tuple[float, ...]]]

    def __post_init__(self) -> None:
        values = [line for of_domain in self.lines.values() for line in of_domain.values()]
        if any(len(line) != len(self.shares) for line in values):
            raise ValueError("a line has a value for each share")


@dataclass(frozen=True, slots=True)
class ObjectiveTerm:
    """How one metric becomes a gain: sign · (value − base) / spread, with a weight."""

    metric: str
    direction: Direction
    weight: float
    base: float
    spread: float


@dataclass(frozen=True, slots=True)
class ObjectiveFacts:
    """How metrics become one number."""

    aggregation: str
    terms: tuple[ObjectiveTerm, ...]

    @classmethod
    def of(cls, objective: Objective, scale: Scale) -> ObjectiveFacts:
        """Put an objective and the values it is measured against side by side."""
        terms = (
            ObjectiveTerm(
                term.metric.name,
                term.metric.direction,
                term.weight,
                scale.base[term.metric.name],
                scale.spread[term.metric.name],
            )
            for term in objective.terms
        )
        return cls(objective.aggregation, tuple(terms))

    def heaviest(self, most: int) -> tuple[ObjectiveTerm, ...]:
        """The terms that weigh most, at most so many; among equals as the recipe has them."""
        return tuple(sorted(self.terms, key=lambda term: -term.weight)[:most])


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """How to read a metric.

    Args:
        direction: ``min`` or ``max``.
        unit: Of its values.
        in_objective: Whether the objective reads it.
    """

    direction: Direction
    unit: str
    in_objective: bool
