"""What a fit of runs finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mixwise.decision.fidelity import Fidelity
from mixwise.decision.left_prior import PriorFacts
from mixwise.decision.rounding import Rounding
from mixwise.decision.score import Shares

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class MetricFit:
    """One metric of the objective.

    Args:
        direction: ``min`` or ``max``.
        length_per_domain: Whether its surrogate has a length of its own for every domain.
        expected: What training on the recommendation should give, in its unit.
        interval: 95 % of it, the noise of a run included.
        best_run: What the best run of the table gave.
        fidelity: Of predictions of runs that the surrogate did not see.
        error: Their root mean square error over the spread of the runs.
    """

    direction: str
    length_per_domain: bool
    expected: float
    interval: Range
    best_run: float
    fidelity: Fidelity
    error: float


@dataclass(frozen=True, slots=True)
class RunOfTable:
    """A mixture of the table.

    Args:
        place: Where its first run stands, ``file:line``.
        mixture: Shares by domain.
        objective: Mean over its runs; 0 is the mean of the table's runs, 1 a standard deviation of
            every metric better.
        expected: By the surrogate.
        is_within: Whether it lies within the limits of the recommendation.
    """

    place: str
    mixture: Shares
    objective: float
    expected: float
    is_within: bool = True


@dataclass(frozen=True, slots=True)
class NextRun:
    """The mixture to train next.

    Args:
        mixture: Shares by domain.
        gain: Regret that training it is expected to save, in the objective's unit.
    """

    mixture: Shares
    gain: float


@dataclass(frozen=True, slots=True)
class SwarmFit:
    """Which mixture, by runs that exist.

    Args:
        answer: What to train on, in one sentence.
        mixture: The recommended one: shares by domain.
        expected: Its objective by the surrogate.
        interval: 95 % of what training on it should give, the noise of a run included.
        highest: The mixture with the largest expected objective, less what leaving the prior
            takes off it; the same one where nothing simpler is as good.
        ahead: Expected objective of the highest less that of the uniform mixture; each less what
            leaving the prior takes off it.
        ahead_deviation: Standard deviation of that difference.
        n_runs: Runs of the table.
        n_mixtures: Distinct mixtures among them.
        sums: The smallest and the largest sum of a run's shares as they stood.
        n_alone: Rows that belonged to nothing and were left out.
        best_run: The mixture of the table with the largest mean objective, of all.
        equals: Mixtures of the table within the limits that cannot be told from the
            recommendation.
        ranges: Smallest and largest share of each domain among mixtures of all the space that
            cannot be told from it.
        beyond: Domains whose recommended share no run has had, with the largest that one had.
        metrics: By name.
        fidelity: Of the objective, predicted for runs that the surrogate did not see.
        error: Root mean square error of these, over the spread of the runs.
        widened: By how much the surrogate's own intervals were widened, as they held too few.
        next_run: What to train next.
        fixed: Shares that all runs have alike, and that are kept.
        line_shares: Grid of one domain's share, from 0 to 1.
        lines: Expected objective on the grid, by domain that is not fixed; the others keep their
            proportions.
        rounding: What shares in whole steps cost; None where none are asked for, or the uniform
            mixture is recommended.
        prior: What staying close to a prior means here; None without one.
    """

    answer: str
    mixture: Shares
    expected: float
    interval: Range
    highest: Shares
    ahead: float
    ahead_deviation: float
    n_runs: int
    n_mixtures: int
    sums: Range
    n_alone: int
    best_run: RunOfTable
    equals: tuple[RunOfTable, ...]
    ranges: Mapping[str, Range]
    beyond: Mapping[str, float]
    metrics: Mapping[str, MetricFit]
    fidelity: Fidelity
    error: float
    widened: float
    next_run: NextRun
    fixed: Mapping[str, float]
    line_shares: tuple[float, ...]
    lines: Mapping[str, tuple[float, ...]]
    rounding: Rounding | None = None
    prior: PriorFacts | None = None
