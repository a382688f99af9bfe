"""A made-up problem whose two answers are formulas: a truth, and a proxy that misses some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Observation
from mixwise.scorer import VALUES, Request
from mixwise.scoring.table import TableRow, TableScorer
from mixwise.search.problem import SearchProblem

DOMAINS = ("a", "b", "c")
SPACE = MixtureSpace.whole(DOMAINS)
UNIFORM = Mixture.uniform(DOMAINS)
OBJECTIVE = Objective((Term(Metric("s", "loss", "min"), 1.0),))
SCALE = Scale({"s/loss": 0.0}, {"s/loss": 1.0})
Value = Callable[[Array], float]


def peak(*at: float, height: float = 1.0, steepness: float = 4.0) -> Value:
    """An objective with one maximum."""
    return lambda shares: height - steepness * float(((shares - np.array(at)) ** 2).sum())


@dataclass
class Formula:
    """Scores mixtures by a formula, and counts them.

    Args:
        value: Objective of shares.
        seeds: Of its runs.
        noise: Standard deviation between seeds.
    """

    value: Value
    seeds: Sequence[int] = (1,)
    noise: float = 0.0
    n: int = 0

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        return tuple(group[0] for group in self._rows(mixtures, (0,)))

    def runs(self, mixtures: Sequence[Mixture]) -> tuple[tuple[Observation, ...], ...]:
        return self._rows(mixtures, self.seeds)

    def _rows(
        self, mixtures: Sequence[Mixture], seeds: Sequence[int]
    ) -> tuple[tuple[Observation, ...], ...]:
        self.n += len(mixtures)
        rows = {
            (str(mixture), seed): TableRow(mixture, {"s/loss": self._loss(mixture, seed)}, seed)
            for mixture in mixtures
            for seed in seeds
        }
        return TableScorer(rows.values()).runs(mixtures) if rows else ()

    def _loss(self, mixture: Mixture, seed: int) -> float:
        bits = [int(1e6 * share) for share in mixture.shares]
        noise = self.noise * np.random.default_rng([seed, *bits]).standard_normal()
        return -self.value(mixture.array) + noise


def distance_to(peak: Array) -> Value:
    """What is lost to a peak: the squared distance from it."""
    return lambda shares: -float(((shares - peak) ** 2).sum())


@dataclass
class Formulas:
    """Scores mixtures by a formula for each of several sets, and counts them.

    Args:
        values: Gain of shares, by the name of a set.
    """

    values: Mapping[str, Value]
    n: int = 0

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        self.n += len(mixtures)
        rows = [
            TableRow(m, {f"{name}/loss": -value(m.array) for name, value in self.values.items()})
            for m in mixtures
        ]
        return TableScorer(rows).score(mixtures)


def named_problem(
    values: Mapping[str, Value],
    space: MixtureSpace,
    *,
    scorer: Formulas | None = None,
    spreads: Mapping[str, float] | None = None,
) -> SearchProblem:
    """A problem in which every set is a group of its own, its values gains."""
    metrics = {name: Metric(name, "loss", "min") for name in values}
    terms = tuple(Term(metric, 1.0, name) for name, metric in metrics.items())
    spread = {f"{name}/loss": (spreads or {}).get(name, 1.0) for name in values}
    scale = Scale(dict.fromkeys(spread, 0.0), spread)
    return SearchProblem(scorer or Formulas(values), space, Objective(terms), scale, None, 0)
