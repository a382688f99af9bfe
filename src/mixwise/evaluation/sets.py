"""What an evaluation set is: rows for a model to read, measurements from their likelihoods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.evaluation.rows import Indices, Row
from mixwise.observation import Measurement


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


class EvaluationSet(Protocol):
    """A named set of examples; each is one or more rows.

    Where examples are asked for, they are indices in any order, or None for all of them.
    """

    @property
    def name(self) -> str:
        """Name of the domain or evaluation set."""
        ...

    @property
    def n_examples(self) -> int:
        """Number of examples."""
        ...

    @property
    def n_tokens(self) -> int:
        """Tokens of all rows."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of all that the measurements depend on."""
        ...

    def rows(self, examples: Indices | None = None) -> tuple[Row, ...]:
        """The rows of the examples, one example after the other."""
        ...

    def measure(self, nats: Array, examples: Indices | None = None) -> tuple[Measurement, ...]:
        """Every metric of the set.

        Args:
            nats: Negative log-likelihood of the rows, shape ``(n_rows,)``, in their order.
            examples: The examples that the rows belong to.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """
        ...

    def differentiable(self, examples: Indices | None = None) -> Differentiable:
        """The metrics that have slopes, as sums over rows."""
        ...


def linear_metric(name: str, example_sizes: Array) -> DifferentiableMetric:
    """A metric that is nats per size (tokens, bytes · ln 2), in each example and over all."""
    return DifferentiableMetric(name, 1 / example_sizes, 1 / float(example_sizes.sum()))


def all_examples(examples: Indices | None, n_examples: int) -> Indices:
    """The indices that were asked for."""
    return np.arange(n_examples) if examples is None else examples
