"""All evaluation sets of a study: one model in, every measurement out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from mixwise.evaluation.choice import ChoiceSet
from mixwise.evaluation.loss import TextSet
from mixwise.observation import Measurement

_FORMAT = 1  # of the measurements; raise it when a metric changes its meaning


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationSuite:
    """The sets that every model of a study is measured on.

    Args:
        sets: Text and choice sets, with different names.
        batch_sequences: Sequences per forward pass.
    """

    sets: tuple[TextSet | ChoiceSet, ...]
    batch_sequences: int

    @property
    def n_tokens(self) -> int:
        """Tokens that one evaluation reads."""
        return sum(chosen.n_tokens for chosen in self.sets)

    @property
    def fingerprint(self) -> str:
        """Hash of all sets and of how they are measured."""
        parts = "\0".join([str(_FORMAT), *(chosen.fingerprint for chosen in self.sets)])
        return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()

    def evaluate(self, model: Any) -> tuple[Measurement, ...]:
        """Measure every metric of every set.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """
        return tuple(
            measurement
            for chosen in self.sets
            for measurement in chosen.measure(model, self.batch_sequences)
        )
