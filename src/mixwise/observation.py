"""What was measured of one mixture: by whom, on what, at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import EvaluationError
from mixwise.macro_f1 import LabelAnswers
from mixwise.mixture import Mixture

Answer = Literal["base", "proxy", "reference"]
_NOT_FINITE = (
    "training has diverged, a file of the model or of the task vectors is damaged, or the numbers "
    "are too large for `evaluation.precision`"
)


@dataclass(frozen=True, slots=True, eq=False)
class Derivatives:
    """How a metric moves with the shares, each share moved alone.

    Along the simplex, where one share grows at the cost of others, only differences of slopes have
    a meaning.

    Args:
        slopes: dx/dλᵢ, shape ``(n_domains,)``, in the metric's unit per share.
        hessian: d²x/dλᵢdλⱼ, shape ``(n_domains, n_domains)``, where it was asked for.
        example_slopes: The slopes of each example, shape ``(n_examples, n_domains)``.
        example_hessians: The same of second order, ``(n_examples, n_domains, n_domains)``.
    """

    slopes: Array
    hessian: Array | None = None
    example_slopes: Array | None = None
    example_hessians: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """One metric of one model, with the values of its examples.

    Args:
        metric: The metric's name, ``set/measure``.
        examples: Value of each example, shape ``(n_examples,)``, in the metric's unit.
        example_weights: Weight of each example (tokens, bytes or 1), shape ``(n_examples,)``.
        derivatives: Slopes in the shares, where they were asked for and the metric has them.
        answers: What the values are made of, where those of a part are of that part alone.

    Raises:
        EvaluationError: If a value or a slope is not finite, or there is no example.
    """

    metric: str
    examples: Array
    example_weights: Array
    derivatives: Derivatives | None = None
    answers: LabelAnswers | None = None

    def __post_init__(self) -> None:
        if not len(self.examples) or not np.isfinite(self.examples).all():
            bad = int((~np.isfinite(self.examples)).sum())
            raise EvaluationError(
                f"`{self.metric}` must be finite on every example, but {bad} of "
                f"{len(self.examples)} are not: {_NOT_FINITE}, or the set is empty"
            )
        if self.derivatives is not None and not np.isfinite(self.derivatives.slopes).all():
            raise EvaluationError(
                f"the slopes of `{self.metric}` must be finite, but are {self.derivatives.slopes}: "
                f"{_NOT_FINITE}"
            )

    @classmethod
    def macro_f1(cls, metric: str, answers: LabelAnswers) -> Measurement:
        """Macro F1 of what a classifier answered."""
        ones = np.ones(len(answers.right))
        return cls(metric, answers.macro_f1, ones, answers=answers)

    @property
    def value(self) -> float:
        """The metric: mean of the examples by their weights."""
        return float(np.average(self.examples, weights=self.example_weights))


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A mixture and its scores.

    Args:
        mixture: The mixture; None for the base model itself.
        answer: Who answered: the merged ``proxy``, the trained ``reference``, or the ``base``.
        rule: Merge rule of a proxy, else empty.
        seeds: Training seeds behind the scores: one per run, empty for a proxy.
        measurements: One per metric.
        seconds: Wall time spent to answer.
        tokens_trained: Tokens that were trained on to answer (experts are not counted again).
        tokens_evaluated: Tokens that were evaluated, in forward passes: a token whose slopes were
            taken counts as three.
        fingerprint: Hash of all that the scores depend on.
        provenance: Hashes and settings that went into the fingerprint, by name.
    """

    mixture: Mixture | None
    answer: Answer
    rule: str
    seeds: tuple[int, ...]
    measurements: tuple[Measurement, ...]
    seconds: float
    tokens_trained: int
    tokens_evaluated: int
    fingerprint: str
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        """Metric values by name."""
        return {measurement.metric: measurement.value for measurement in self.measurements}

    def measurement(self, metric: str) -> Measurement:
        """The measurement of one metric, by name."""
        return next(m for m in self.measurements if m.metric == metric)


def average_over_seeds(runs: Sequence[Observation]) -> Observation:
    """Average the observations of one mixture over its training seeds, example by example.

    Args:
        runs: Observations of the same mixture and metrics, one per seed; at least one.

    Returns:
        One observation that holds all seeds; its costs are the sums.
    """
    first = runs[0]
    measurements = tuple(
        Measurement(
            m.metric,
            np.mean([run.measurement(m.metric).examples for run in runs], axis=0),
            m.example_weights,
        )
        for m in first.measurements
    )
    return Observation(
        mixture=first.mixture,
        answer=first.answer,
        rule=first.rule,
        seeds=tuple(seed for run in runs for seed in run.seeds),
        measurements=measurements,
        seconds=sum(run.seconds for run in runs),
        tokens_trained=sum(run.tokens_trained for run in runs),
        tokens_evaluated=sum(run.tokens_evaluated for run in runs),
        fingerprint="+".join(run.fingerprint for run in runs),
        provenance=first.provenance,
    )
