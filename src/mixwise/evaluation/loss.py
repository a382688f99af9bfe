"""Held-out loss of a causal language model on sequences of fixed length.

Notation:
    L: sequence length. Each sequence predicts its positions 2..L from those before: L − 1 tokens.

Method:
    loss = mean negative log-likelihood per predicted token, in nats;
    bits per byte = Σ nats / (ln 2 · Σ bytes of the predicted tokens), which compares tokenizers.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array
from mixwise.data.corpus import HeldoutSequences
from mixwise.errors import DataError
from mixwise.evaluation.rows import Indices, Row
from mixwise.evaluation.sets import Differentiable, all_examples, linear_metric
from mixwise.observation import Measurement


@dataclass(frozen=True, slots=True, eq=False)
class TextSet:
    """A named set of held-out sequences.

    Args:
        name: Name of the domain or evaluation set.
        sequences: Tokens and the bytes that each adds, both ``(n, L)``.

    Raises:
        DataError: If the predicted tokens of a sequence stand for no text at all.
    """

    name: str
    sequences: HeldoutSequences

    def __post_init__(self) -> None:
        if not self.predicted_bytes.all():
            raise DataError(f"`{self.name}`: a held-out sequence holds no text: look at the data")

    @property
    def predicted_bytes(self) -> Array:
        """Bytes of the predicted tokens of each sequence, shape ``(n,)``."""
        return self.sequences.token_bytes[:, 1:].sum(axis=1).astype(np.float64)

    @property
    def n_examples(self) -> int:
        """Number of sequences."""
        return len(self.sequences.tokens)

    @property
    def n_tokens(self) -> int:
        """Tokens of all sequences."""
        return self.sequences.tokens.size

    @property
    def fingerprint(self) -> str:
        """Hash of the tokens and their bytes."""
        digest = hashlib.blake2b(self.name.encode(), digest_size=16)
        for array in (self.sequences.tokens, self.sequences.token_bytes):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def rows(self, examples: Indices | None = None) -> tuple[Row, ...]:
        """One row per sequence: all tokens after the first are predicted."""
        tokens = self.sequences.tokens[all_examples(examples, self.n_examples)]
        return tuple(Row(ids, len(ids) - 1) for ids in tokens)

    def measure(self, nats: Array, examples: Indices | None = None) -> tuple[Measurement, ...]:
        """``loss`` and ``bits_per_byte`` from the likelihood of the sequences.

        Args:
            nats: Negative log-likelihood of each sequence, given its first token, shape ``(n,)``.
            examples: The sequences; None for all.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """
        n_predicted, n_bytes = self._sizes(examples)
        return (
            Measurement(f"{self.name}/loss", nats / n_predicted, n_predicted),
            Measurement(f"{self.name}/bits_per_byte", nats / (math.log(2) * n_bytes), n_bytes),
        )

    def differentiable(self, examples: Indices | None = None) -> Differentiable:
        """Both metrics, over every sequence."""
        n_predicted, n_bytes = self._sizes(examples)
        metrics = (
            linear_metric(f"{self.name}/loss", n_predicted),
            linear_metric(f"{self.name}/bits_per_byte", math.log(2) * n_bytes),
        )
        n_rows = len(n_predicted)
        return Differentiable(np.ones(n_rows, dtype=bool), np.arange(n_rows), metrics)

    def _sizes(self, examples: Indices | None) -> tuple[Array, Array]:
        """Predicted tokens and their bytes, of each sequence."""
        n_bytes = self.predicted_bytes[all_examples(examples, self.n_examples)]
        return np.full(len(n_bytes), self.sequences.tokens.shape[1] - 1.0), n_bytes
