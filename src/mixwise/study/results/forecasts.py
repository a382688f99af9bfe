"""What is expected of the recommended mixture, and of those beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mixwise.decision.bootstrap import Standing
from mixwise.decision.score import Score, Shares
from mixwise.study.results.scored import Range


@dataclass(frozen=True, slots=True)
class ProxyForecast:
    """The recommended mixture by the proxy.

    Args:
        objective: J.
        interval_95: Over resampled evaluation examples.
        covers: What the interval covers, and what not.
        metrics: Value by metric name.
    """

    objective: float
    interval_95: Range
    covers: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ReferenceForecast:
    """What a model trained on the recommended mixture should reach.

    Args:
        objective: Expected J.
        interval_95: Where the mean of the final runs should land.
        covers: What the interval covers.
        n_references: Trained mixtures that it is learned from; 0 where it is only predicted.
    """

    objective: float
    interval_95: Range
    covers: str
    n_references: int


@dataclass(frozen=True, slots=True)
class Simplicity:
    """Why the recommended mixture is not, or is, the simplest one.

    Args:
        preferred: What is simplest: ``uniform`` or ``available``.
        anchor: The simplest mixture within the bounds.
        behind: Expected score of the highest less that of the anchor, ≥ 0.
        deviation: Standard deviation of that difference.
        holds_anchor: Whether the two cannot be told apart; then the anchor is recommended.
        highest: The mixture with the largest corrected score, by the proxy.
    """

    preferred: str
    anchor: Shares
    behind: float
    deviation: float
    holds_anchor: bool
    highest: Score


@dataclass(frozen=True, slots=True)
class Rated:
    """A scored mixture beside the recommended one.

    Args:
        name: Of a baseline; empty for any other.
        score: By the proxy.
        expected: Objective that training on it should reach; None without a reference.
        standing: ``recommended``, ``equal``, ``ahead`` or ``behind``.
    """

    name: str
    score: Score
    expected: float | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class FloorFacts:
    """A floor of the objective, and what the recommended mixture is expected to do.

    Args:
        metric: The metric, whose value must not be worse than ``limit``.
        direction: ``min`` or ``max``.
        limit: The last value that holds it.
        expected: The metric of the recommended mixture, by the proxy.
        holds: Whether that is no worse.
    """

    metric: str
    direction: str
    limit: float
    expected: float
    holds: bool
