"""Labelled examples: what a classifier thinks of every label.

Notation:
    p_c: probability of label c among those of the set's head.  C: labels of the head.
    n_c: examples of the set whose label is c.

Method:
    A row asks one example for one label, so that the rows of an example are its −log p_c; each
    example passes through the model once. loss = mean −log p_right, in nats per example, which is
    differentiable; accuracy: argmax p_c is right; balanced accuracy: the mean over the labels that
    the set holds of the accuracy on their examples, so that example e weighs 1 / n_c(e); macro F1:
    the mean over the same labels of their F1 (`mixwise.macro_f1`). Of equal labels the first is
    taken.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array
from mixwise.data.corpus import LabelledRows
from mixwise.evaluation.likelihood.rows import Indices, Label, Row
from mixwise.evaluation.likelihood.sets import (
    Differentiable,
    LikelihoodSet,
    all_examples,
    linear_metric,
)
from mixwise.evaluation.sets import Opening
from mixwise.kinds import BALANCED_ACCURACY, LABEL_ACCURACY, LABEL_LOSS, MACRO_F1
from mixwise.macro_f1 import LabelAnswers
from mixwise.objective import Metric
from mixwise.observation import Measurement

_MEASURES = (LABEL_LOSS, LABEL_ACCURACY, BALANCED_ACCURACY, MACRO_F1)


def open_labels(opening: Opening) -> LabelSet:
    """A set of labelled examples, on the held-out ones of its documents."""
    assert opening.head is not None  # tasks with labels have one
    outputs = opening.head.outputs
    among = None if opening.head.domain is None else outputs
    return LabelSet(opening.name, opening.examples(), len(outputs), among)


@dataclass(frozen=True, slots=True, eq=False)
class LabelSet(LikelihoodSet):
    """A named set of labelled examples.

    Args:
        name: Name of the domain or evaluation set.
        table: The examples; their labels are indices of the model's outputs.
        n_labels: C.
        among: The C outputs of the head that the set is read with; None where the model has no
            others.
    """

    name: str
    table: LabelledRows
    n_labels: int
    among: range | None = None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """``loss``, ``accuracy``, ``balanced_accuracy`` and ``macro_f1``."""
        return tuple(Metric.of(self.name, measure) for measure in _MEASURES)

    @property
    def missing(self) -> tuple[int, ...]:
        """Labels of the head that no example has, which means over the labels leave out."""
        held = np.bincount(self._labels, minlength=self.n_labels)
        return tuple(np.flatnonzero(held == 0).tolist())

    @property
    def n_examples(self) -> int:
        """Number of examples."""
        return len(self.table.labels)

    @property
    def n_tokens(self) -> int:
        """Examples: what runs of such a task count."""
        return self.n_examples

    @property
    def fingerprint(self) -> str:
        """Hash of the examples and their labels, and of what is measured."""
        measures = [measure.name for measure in _MEASURES]
        head = f"{self.name} {self.n_labels} {measures}"
        if self.among is not None:
            head += f" of outputs from {self.among.start}"
        digest = hashlib.blake2b(head.encode(), digest_size=16)
        for array in self.table.hashed:
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def rows(self, examples: Indices | None = None) -> tuple[Row, ...]:
        """A row for each label, example after example."""
        table, asked = self.table, np.ones(1, dtype=bool)
        outputs = range(self.n_labels) if self.among is None else self.among
        return tuple(
            Row(ids, asked, Label(k, index, self.among), table.pixels)
            for k, example in enumerate(all_examples(examples, self.n_examples))
            for ids in [table.row_ids(example)]
            for index in outputs
        )

    def measure(self, nats: Array, examples: Indices | None = None) -> tuple[Measurement, ...]:
        """``loss``, ``accuracy``, ``balanced_accuracy`` and ``macro_f1``.

        Args:
            nats: −log p of each label of each example, shape ``(n_examples · C,)``.
            examples: The examples; None for all.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """
        labels = self._labels[all_examples(examples, self.n_examples)]
        of_labels = nats.reshape(len(labels), self.n_labels)
        predicted = of_labels.argmin(axis=1)
        is_right = (predicted == labels).astype(float)
        ones = np.ones(len(labels))
        counts = np.bincount(self._labels, minlength=self.n_labels)
        loss = np.take_along_axis(of_labels, labels[:, None], axis=1)[:, 0]
        return (
            Measurement(f"{self.name}/loss", loss, ones),
            Measurement(f"{self.name}/accuracy", is_right, ones),
            Measurement(f"{self.name}/balanced_accuracy", is_right, 1 / counts[labels]),
            Measurement.macro_f1(f"{self.name}/macro_f1", LabelAnswers(labels, predicted)),
        )

    @property
    def _labels(self) -> Indices:
        """Right labels of all examples, counted from the head's first output."""
        first = 0 if self.among is None else self.among.start
        return self.table.labels.astype(np.int64) - first

    def differentiable(self, examples: Indices | None = None) -> Differentiable:
        """``loss``, over the right labels."""
        labels = self._labels[all_examples(examples, self.n_examples)]
        n, every = len(labels), np.arange(self.n_labels)
        return Differentiable(
            counted=(every[None] == labels[:, None]).ravel(),
            row_examples=np.repeat(np.arange(n), self.n_labels),
            metrics=(linear_metric(f"{self.name}/loss", np.ones(n)),),
        )
