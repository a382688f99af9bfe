"""Metrics, and the one scalar that a study maximises.

Notation:
    x_m: value of metric m of a model; b_m: the same of the base model.
    σ_m: spread of metric m, its standard deviation (n − 1) over the single-domain experts.
    s_m: +1 where larger is better, −1 where smaller is better.  w_m: weight, > 0.
    g_m = s_m (x_m − b_m) / σ_m: gain over the base in units of the spread.

Method:
    mean:  J = Σ w_m g_m / Σ w_m        worst:  J = min_m g_m
    over the metrics with σ_m > 0; one with σ_m = 0 tells no mixture from another.
    Larger is better. J has no unit: 1 means "one expert-to-expert standard deviation better than
    the base, on average".

Departures:
    MergeMix takes the macro-average of scores normalised in a way it does not specify; the spread
    over experts is used here because it is known before the search and does not move during it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import EvaluationError

Direction = Literal["min", "max"]
Aggregation = Literal["mean", "worst"]


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
    """

    name: str
    direction: Direction
    unit: str
    meaning: str
    is_differentiable: bool = False


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
    """

    set_name: str
    measure: str
    direction: Direction
    unit: str = ""
    is_differentiable: bool = True

    @classmethod
    def of(cls, set_name: str, measure: Measure, direction: Direction | None = None) -> Metric:
        """A measure on a set; by default better in the direction that the measure says."""
        return cls(
            set_name,
            measure.name,
            direction or measure.direction,
            measure.unit,
            measure.is_differentiable,
        )

    @property
    def name(self) -> str:
        """The metric's name everywhere: ``set/measure``."""
        return f"{self.set_name}/{self.measure}"

    @property
    def sign(self) -> int:
        """+1 where larger is better, −1 where smaller is."""
        return 1 if self.direction == "max" else -1


@dataclass(frozen=True, slots=True)
class Term:
    """One metric of the objective and its weight (> 0)."""

    metric: Metric
    weight: float


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
    """

    terms: tuple[Term, ...]
    aggregation: Aggregation = "mean"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that the objective reads, in its order."""
        return tuple(term.metric for term in self.terms)

    def gains(self, values: Array, scale: Scale) -> Array:
        """Turn metric values into gains.

        Args:
            values: x_m, shape ``(..., n_terms)``, in the metrics' own units and order.
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
            values: x_m, shape ``(..., n_terms)``.
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
        tells = np.array([scale.spread[metric.name] > 0 for metric in self.metrics])
        if not tells.any():
            names = ", ".join(f"`{metric.name}`" for metric in self.metrics)
            raise EvaluationError(
                f"no metric of the objective differs between the experts ({names}): choose others "
                "or enlarge their evaluation sets"
            )
        gains = self.gains(values, scale)[..., tells]
        if self.aggregation == "worst":
            return np.asarray(gains.min(axis=-1))
        term_weights = np.array([term.weight for term in self.terms])[tells]
        return np.asarray(gains @ term_weights / term_weights.sum())

    def value(self, values: Mapping[str, float], scale: Scale) -> float:
        """J of one model, from its metric values by name."""
        row = np.array([values[metric.name] for metric in self.metrics])
        return float(self.aggregate(row, scale))
