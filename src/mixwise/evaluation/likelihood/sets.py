"""Sets that are measured by the log-likelihood of rows, which mixwise reads for them.

They refine `EvaluationSet`: whoever reads the rows (whole, after shared prompts, layer by layer,
for several merges at once, with their slopes) hands over one number for each, and gets
measurements.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.evaluation.likelihood.rows import Indices, Row
from mixwise.evaluation.sets import WHOLE
from mixwise.objective import Metric
from mixwise.observation import Measurement
from mixwise.scorer import Part


@dataclass(frozen=True, slots=True, eq=False)
class DifferentiableMetric:
    """A metric that is linear in the rows' likelihoods.

    Value of example e = ``example_scale[e]`` · Σ counted nats of e;
    the metric = ``factor`` · Σ all counted nats.

    Args:
        name: The metric's name, ``set/measure``.
        example_scale: Shape ``(n_examples,)``, in the metric's unit per nat.
        factor: The same unit.
    """

    name: str
    example_scale: Array
    factor: float


@dataclass(frozen=True, slots=True, eq=False)
class Differentiable:
    """Which rows the differentiable metrics of a set are made of.

    Args:
        counted: Whether a row counts, shape ``(n_rows,)``.
        row_examples: Example that each row belongs to, counted from 0 in the order of the examples
            that were asked for, shape ``(n_rows,)``.
        metrics: The metrics; they all count the same rows.
    """

    counted: npt.NDArray[np.bool_]
    row_examples: Indices
    metrics: tuple[DifferentiableMetric, ...]


class Scored(Protocol):
    """A row of a set: how many predictions of it count."""

    @property
    def n_scored(self) -> int:
        """At least 1."""
        ...


class PredictedSet(Protocol):
    """A set that is measured by likelihoods, whoever has read them: what averaging them takes."""

    @property
    def name(self) -> str:
        """First part of its metrics' names."""
        ...

    @property
    def n_examples(self) -> int:
        """Number of examples."""
        ...

    def rows(self) -> Sequence[Scored]:
        """Its rows, one example after the other."""
        ...

    def measure(self, nats: Array, examples: Indices | None = None) -> tuple[Measurement, ...]:
        """Every metric that likelihoods give; see `LikelihoodSet.measure`."""
        ...

    def differentiable(self, examples: Indices | None = None) -> Differentiable:
        """The metrics that have slopes, as sums over rows."""
        ...


class LikelihoodSet(ABC):
    """A named set of examples; each is one or more rows.

    Where examples are asked for, they are indices in any order, or None for all of them.

    Attributes:
        name: Name of the domain or evaluation set.
    """

    __slots__ = ()
    name: str

    @property
    @abstractmethod
    def metrics(self) -> tuple[Metric, ...]:
        """What is measured, in the order of the measurements."""

    @property
    @abstractmethod
    def n_examples(self) -> int:
        """Number of examples."""

    @property
    @abstractmethod
    def n_tokens(self) -> int:
        """Tokens of all rows."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of all that the measurements depend on besides the model."""

    @abstractmethod
    def rows(self, examples: Indices | None = None) -> tuple[Row, ...]:
        """The rows of the examples, one example after the other."""

    @abstractmethod
    def measure(self, nats: Array, examples: Indices | None = None) -> tuple[Measurement, ...]:
        """Every metric of the set.

        Args:
            nats: Negative log-likelihood of the rows, shape ``(n_rows,)``, in their order.
            examples: The examples that the rows belong to.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """

    @abstractmethod
    def differentiable(self, examples: Indices | None = None) -> Differentiable:
        """The metrics that have slopes, as sums over rows."""

    def evaluate(self, model: Any, part: Part = WHOLE) -> tuple[Measurement, ...]:
        """Measure every metric, row after row; a suite reads several rows at once."""
        from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite

        return PreparedSuite.of(EvaluationSuite((self,), 1), model).measure(model, self, part)


def in_row_order(passes: Iterable[tuple[Indices, Array]]) -> Array:
    """Put what is known of some rows in the order of these rows.

    Args:
        passes: Indices of rows that were read together, shape ``(B,)``, and a number for each,
            ``(…, B)``; every row stands in one of them.

    Returns:
        Shape ``(…, n_rows)``.
    """
    found = list(passes)
    rows = np.concatenate([rows for rows, _ in found])
    values = np.concatenate([values for _, values in found], axis=-1)
    ordered = np.empty_like(values)
    ordered[..., rows] = values
    return ordered


def linear_metric(name: str, example_sizes: Array) -> DifferentiableMetric:
    """A metric that is nats per size (tokens, bytes · ln 2), in each example and over all."""
    return DifferentiableMetric(name, 1 / example_sizes, 1 / float(example_sizes.sum()))


def all_examples(examples: Indices | None, n_examples: int) -> Indices:
    """The indices that were asked for."""
    return np.arange(n_examples) if examples is None else examples
