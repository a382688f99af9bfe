"""Held-out loss of a causal language model: sequences of text, or records of which a part counts.

Notation:
    n_r: predicted tokens of row r that count; of plain text all but the first.

Method:
    loss = mean negative log-likelihood per token that counts, in nats;
    bits per byte = Σ nats / (ln 2 · Σ bytes of these tokens), which compares tokenizers.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.data.heldout import HeldoutRows
from mixwise.errors import DataError
from mixwise.evaluation.likelihood.rows import Indices, Row
from mixwise.evaluation.likelihood.sets import (
    Differentiable,
    LikelihoodSet,
    all_examples,
    linear_metric,
)
from mixwise.evaluation.sets import Opening
from mixwise.kinds import BITS_PER_BYTE, LOSS
from mixwise.objective import Metric
from mixwise.observation import Measurement


def open_text(opening: Opening) -> TextSet:
    """A text set on the held-out tokens of its documents."""
    return TextSet(opening.name, opening.heldout())


@dataclass(frozen=True, slots=True, eq=False)
class TextSet(LikelihoodSet):
    """A named set of held-out rows.

    Args:
        name: Name of the domain or evaluation set.
        heldout: The rows.

    Raises:
        DataError: If the predicted tokens of a row stand for no text at all.
    """

    name: str
    heldout: HeldoutRows

    def __post_init__(self) -> None:
        if not self.predicted_bytes.all():
            raise DataError(f"`{self.name}`: a held-out row holds no text: look at the data")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """``loss`` and ``bits_per_byte``."""
        return Metric.of(self.name, LOSS), Metric.of(self.name, BITS_PER_BYTE)

    @property
    def predicted_bytes(self) -> Array:
        """Bytes of the predicted tokens of each row, shape ``(n,)``."""
        counted = np.where(self.heldout.scored, self.heldout.token_bytes, 0)
        return counted.sum(axis=1).astype(np.float64)

    @property
    def n_examples(self) -> int:
        """Number of rows."""
        return len(self.heldout.tokens)

    @property
    def n_tokens(self) -> int:
        """Tokens of all rows."""
        return int(self.heldout.lengths.sum())

    @property
    def fingerprint(self) -> str:
        """Hash of the tokens and their bytes, and of which count where not all do."""
        digest = hashlib.blake2b(self.name.encode(), digest_size=16)
        arrays: list[npt.NDArray[Any]] = [self.heldout.tokens, self.heldout.token_bytes]
        if not self.heldout.is_plain:
            arrays += [self.heldout.scored, self.heldout.lengths]
        for array in arrays:
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def rows(self, examples: Indices | None = None) -> tuple[Row, ...]:
        """One row per example."""
        heldout = self.heldout
        return tuple(
            Row(heldout.tokens[i, :length], heldout.scored[i, :length])
            for i in all_examples(examples, self.n_examples)
            for length in [int(heldout.lengths[i])]
        )

    def measure(self, nats: Array, examples: Indices | None = None) -> tuple[Measurement, ...]:
        """``loss`` and ``bits_per_byte`` from the likelihood of the rows.

        Args:
            nats: Negative log-likelihood of each row's tokens that count, shape ``(n,)``.
            examples: The rows; None for all.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """
        n_predicted, n_bytes = self._sizes(examples)
        return (
            Measurement(f"{self.name}/loss", nats / n_predicted, n_predicted),
            Measurement(f"{self.name}/bits_per_byte", nats / (math.log(2) * n_bytes), n_bytes),
        )

    def differentiable(self, examples: Indices | None = None) -> Differentiable:
        """Both metrics, over every row."""
        n_predicted, n_bytes = self._sizes(examples)
        metrics = (
            linear_metric(f"{self.name}/loss", n_predicted),
            linear_metric(f"{self.name}/bits_per_byte", math.log(2) * n_bytes),
        )
        n_rows = len(n_predicted)
        return Differentiable(np.ones(n_rows, dtype=bool), np.arange(n_rows), metrics)

    def _sizes(self, examples: Indices | None) -> tuple[Array, Array]:
        """Predicted tokens and their bytes, of each row."""
        chosen = all_examples(examples, self.n_examples)
        n_predicted = self.heldout.scored.sum(axis=1).astype(np.float64)
        return n_predicted[chosen], self.predicted_bytes[chosen]
