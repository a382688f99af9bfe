"""Metrics, and the one scalar that a study maximises.

Notation:
    x_m: value of metric m of a model; b_m: the same of the base model.
    σ_m: spread of metric m, its standard deviation (n − 1) over the single-domain experts.
    s_m: +1 where larger is better, −1 where smaller is better.  w_m: weight, > 0.
    g_m = s_m (x_m − b_m) / σ_m: gain over the base in units of the spread.
    f_m: the gain that a floor asks for.

Method:
    mean:  J = Σ w_m g_m / Σ w_m        worst:  J = min_m g_m
    over the metrics with σ_m > 0; one with σ_m = 0 tells no mixture from another. Where a metric is
    below its floor J loses 10 (f_m − g_m): an exact penalty, so that the best mixture holds the
    floors wherever one does, and misses them by the least where none does.
    Larger is better. J has no unit: 1 means "one expert-to-expert standard deviation better than
    the base, on average".

Departures:
    MergeMix takes the macro-average of scores normalised in a way it does not specify; the spread
    over experts is used here because it is known before the search and does not move during it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import EvaluationError

Direction = Literal["min", "max"]
Aggregation = Literal["mean", "worst"]
PENALTY = 10.0  # of J for a spread by which a floor is missed


@dataclass(frozen=True, slots=True)
class Measure:
    """What a kind of evaluation set measures.

    Args:
        name: Second part of a metric's name.
        direction: Whether smaller or larger values are better.
        unit: Of the values.
        meaning: In a few words.
        is_differentiable: Whether it is a sum of log-likelihoods, which has slopes in the merge
            weights; shares of right answers jump.
        is_mean: Whether it is a mean over examples, so that what parts of a set say of it adds up.
    """

    name: str
    direction: Direction
    unit: str
    meaning: str
    is_differentiable: bool = False
    is_mean: bool = True


@dataclass(frozen=True, slots=True)
class Metric:
    """One measurement on one evaluation set, with the direction in which it improves.

    Args:
        set_name: The set.
        measure: What is measured on it.
        direction: Whether smaller or larger values are better.
        unit: Of the values; empty where nobody has said it.
        is_differentiable: Whether it changes smoothly with the mixture, as a loss does, and has
            slopes where the scorer can give them; False for shares of right answers, which jump.
        is_mean: See `Measure`.
    """

    set_name: str
    measure: str
    direction: Direction
    unit: str = ""
    is_differentiable: bool = True
    is_mean: bool = field(default=True, repr=False)  # fingerprints of problems hold the repr

    @classmethod
    def of(cls, set_name: str, measure: Measure, direction: Direction | None = None) -> Metric:
        """A measure on a set; by default better in the direction that the measure says."""
        return cls(
            set_name,
            measure.name,
            direction or measure.direction,
            measure.unit,
            measure.is_differentiable,
            measure.is_mean,
        )

    @property
    def name(self) -> str:
        """The metric's name everywhere: ``set/measure``."""
        return f"{self.set_name}/{self.measure}"

    @property
    def sign(self) -> int:
        """+1 where larger is better, −1 where smaller is."""
        return 1 if self.direction == "max" else -1

    @property
    def is_surprise(self) -> bool:
        """Whether it is in nats or bits, of a token, a byte or a label: never below zero."""
        return self.unit.partition("/")[0] in {"nats", "bits"}


@dataclass(frozen=True, slots=True)
class Term:
    """One metric of the objective.

    Args:
        metric: The metric.
        weight: > 0.
        group: Name of the group that it belongs to; None for none.
    """

    metric: Metric
    weight: float
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Floor:
    """What a metric must not be worse than.

    Args:
        metric: The metric.
        value: In its unit; None for the base model's.
        margin: By how much it may be worse than that, ≥ 0, in its unit.
    """

    metric: Metric
    value: float | None = None
    margin: float = 0.0

    def limit(self, base: Mapping[str, float]) -> float:
        """The last value that holds it, in the metric's unit.

        Args:
            base: The base model's values by metric name.

        Example:
            >>> Floor(Metric("a", "loss", "min"), margin=0.25).limit({"a/loss": 3.0})
            3.25
        """
        value = base[self.metric.name] if self.value is None else self.value
        return value - self.metric.sign * self.margin


@dataclass(frozen=True, slots=True)
class Scale:
    """What turns metric values into gains.

    Args:
        base: b_m by metric name.
        spread: σ_m by metric name, ≥ 0.
    """

    base: Mapping[str, float]
    spread: Mapping[str, float]

    @classmethod
    def measure(cls, base: Mapping[str, float], experts: Sequence[Mapping[str, float]]) -> Scale:
        """Take the spread of each metric over the single-domain experts (sample deviation).

        Example:
            >>> Scale.measure({"a/loss": 3.0}, [{"a/loss": 1.0}, {"a/loss": 3.0}]).spread
            {'a/loss': 1.4142135623730951}
        """
        spread = {
            name: float(np.std([values[name] for values in experts], ddof=1)) for name in base
        }
        return cls(dict(base), spread)


@dataclass(frozen=True, slots=True)
class Objective:
    """The scalar to maximise: an aggregation of gains over the base.

    Args:
        terms: Metrics and weights; at least one.
        aggregation: ``mean`` (weighted) or ``worst`` (the smallest gain).
        floors: What metrics must not be worse than, those of the terms or others.
    """

    terms: tuple[Term, ...]
    aggregation: Aggregation = "mean"
    floors: tuple[Floor, ...] = ()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that the objective reads: the terms' in their order, then other floors'."""
        terms = {term.metric.name: term.metric for term in self.terms}
        others = {floor.metric.name: floor.metric for floor in self.floors}
        return tuple((others | terms)[name] for name in dict.fromkeys([*terms, *others]))

    @property
    def weights(self) -> Array:
        """Weight of each metric, shape ``(n_metrics,)``; 0 for one that has a floor alone."""
        by_name = {term.metric.name: term.weight for term in self.terms}
        return np.array([by_name.get(metric.name, 0.0) for metric in self.metrics])

    def of_group(self, name: str) -> Objective:
        """The same objective over the terms of one group, which must have some; floors stay."""
        return replace(self, terms=tuple(term for term in self.terms if term.group == name))

    def floor_gains(self, scale: Scale) -> Array:
        """f_m of each metric, shape ``(n_metrics,)``; −∞ where it has no floor."""
        limits = np.full(len(self.metrics), -np.inf)
        names = [metric.name for metric in self.metrics]
        for floor in self.floors:
            column, spread = names.index(floor.metric.name), scale.spread[floor.metric.name]
            if spread > 0:
                away = floor.limit(scale.base) - scale.base[floor.metric.name]
                limits[column] = max(limits[column], floor.metric.sign * away / spread)
        return limits

    def gains(self, values: Array, scale: Scale) -> Array:
        """Turn metric values into gains.

        Args:
            values: x_m, shape ``(..., n_metrics)``, in the metrics' own units and order.
            scale: Base values and spreads.

        Returns:
            g_m, same shape; 0 for a metric whose spread is 0.
        """
        base = np.array([scale.base[metric.name] for metric in self.metrics])
        spread = np.array([scale.spread[metric.name] for metric in self.metrics])
        sign = np.array([metric.sign for metric in self.metrics])
        safe = np.where(spread > 0, spread, 1.0)
        return np.where(spread > 0, sign * (values - base) / safe, 0.0)

    def aggregate(self, values: Array, scale: Scale) -> Array:
        """Aggregate metric values into the objective J (see the head of this file).

        Args:
            values: x_m, shape ``(..., n_metrics)``.
            scale: Base values and spreads.

        Returns:
            J, shape ``(...)``; larger is better.

        Raises:
            EvaluationError: If the spread of every metric is 0.

        Example:
            >>> term = Term(Metric("a", "loss", "min"), 1.0)
            >>> scale = Scale({"a/loss": 3.0}, {"a/loss": 0.5})
            >>> float(Objective((term,)).aggregate(np.array([2.0]), scale))
            2.0
        """
        weights = self.weights
        tells = np.array([scale.spread[metric.name] > 0 for metric in self.metrics]) & (weights > 0)
        if not tells.any():
            names = ", ".join(f"`{term.metric.name}`" for term in self.terms)
            raise EvaluationError(
                f"no metric of the objective differs between the experts ({names}): choose others "
                "or enlarge their evaluation sets"
            )
        gains = self.gains(values, scale)
        lost = self.penalty(gains, scale)
        if self.aggregation == "worst":
            return np.asarray(gains[..., tells].min(axis=-1) - lost)
        return np.asarray(gains[..., tells] @ weights[tells] / weights[tells].sum() - lost)

    def penalty(self, gains: Array, scale: Scale) -> Array:
        """What J loses to floors that are missed, shape ``(...)``.

        Args:
            gains: g_m, shape ``(..., n_metrics)``.
            scale: Base values and spreads.
        """
        missed = np.maximum(self.floor_gains(scale) - gains, 0.0)
        return np.asarray(PENALTY * missed.sum(axis=-1))

    def value(self, values: Mapping[str, float], scale: Scale) -> float:
        """J of one model, from its metric values by name."""
        row = np.array([values[metric.name] for metric in self.metrics])
        return float(self.aggregate(row, scale))
