"""What search, calibration, validation and final training find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mixwise.decision.fidelity import Fidelity
from mixwise.decision.outcome import Outcome
from mixwise.decision.score import Score
from mixwise.limit import Limit
from mixwise.study.results.scored import (
    BothAnswers,
    Candidate,
    MetricFacts,
    ObjectiveFacts,
    Profiles,
    Range,
)


@dataclass(frozen=True, slots=True)
class SearchFound:
    """``search.json``.

    Args:
        method: Search method that ran.
        source: Where it was published.
        rule: Merge rule of the proxy.
        n_scored: Mixtures that the search scored.
        bounds: Smallest and largest share of each domain, token limits included.
        objective: What was maximised.
        metrics: All that is measured, by name.
        surrogate: Objective that the search's own surrogate gives for its best; None without one.
        best: The search's own answer.
        base: The base model.
        candidates: All that was scored and the baselines, best first.
        profiles: Metrics along the simplex.
        heldout: Hash of the held-out tokens of each text set.
        gap: What slopes promise beyond the search's answer at most, in units of the objective; None
            where a metric has none.
        gap_is_bound: Whether no mixture can be better by more than the gap: predictions are convex.
        limits: Of sums of shares.
        grid: Step of the shares of all that is trained or recommended; None for none.
    """

    method: str
    source: str
    rule: str
    n_scored: int
    bounds: Mapping[str, Range]
    objective: ObjectiveFacts
    metrics: Mapping[str, MetricFacts]
    surrogate: float | None
    best: Score
    base: Score
    candidates: tuple[Candidate, ...]
    profiles: Profiles
    heldout: Mapping[str, str]
    gap: float | None = None
    gap_is_bound: bool = False
    limits: tuple[Limit, ...] = ()
    grid: float | None = None


@dataclass(frozen=True, slots=True)
class CalibrationFound:
    """``calibration.json``: mixtures that were trained to learn what the proxy misses.

    Args:
        seeds: Of each.
        rule: Merge rule of the proxy.
        mixtures: In the order of their training.
        noise: Standard deviation of one run between seeds, as expected; None without references.
    """

    seeds: tuple[int, ...]
    rule: str
    mixtures: tuple[BothAnswers, ...]
    noise: float | None


@dataclass(frozen=True, slots=True)
class ValidationFound:
    """``validation.json``: reference mixtures by both answers.

    Args:
        seeds: Of each reference.
        rule: Merge rule of the proxy.
        mixtures: The references.
        fidelity: Of the proxy, by metric; the objective under ``objective``, first.
    """

    seeds: tuple[int, ...]
    rule: str
    mixtures: tuple[BothAnswers, ...]
    fidelity: Mapping[str, Fidelity]


@dataclass(frozen=True, slots=True)
class FinalFound:
    """``final.json``: the recommendation (first) and the baselines, trained for real.

    Args:
        seeds: Of the runs.
        rows: Each mixture by both answers.
        outcome: Whether the first won.
        start: What the runs began at; predictions are of runs from the base.
    """

    seeds: tuple[int, ...]
    rows: tuple[BothAnswers, ...]
    outcome: Outcome
    start: Literal["base", "merged"] = "base"

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("the recommendation is the first row")
