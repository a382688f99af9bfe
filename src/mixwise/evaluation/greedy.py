"""Whether greedy decoding would write what stands in the data.

Method:
    One pass over each row tells which token the model holds for the most likely one at every
    position that counts. ``token_accuracy`` is the share of these tokens that are right;
    ``greedy_match`` is the share of rows in which all are, which is when greedy decoding after the
    row's beginning writes its end, token by token. Of equal logits the smaller id is taken.

Source:
    ``is_greedy`` of a log-likelihood request of EleutherAI's lm-evaluation-harness, the accuracy of
    its LAMBADA task; ``mean_token_accuracy`` of TRL's trainers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mixwise.arrays import Array
from mixwise.evaluation.likelihood.rows import Batch, make_batches, scored_logits
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.sets import WHOLE, Opening
from mixwise.kinds import GREEDY_MATCH, TOKEN_ACCURACY
from mixwise.objective import Metric
from mixwise.observation import Measurement
from mixwise.scorer import Part


def open_greedy(opening: Opening) -> GreedySet:
    """A set on the held-out tokens of its documents."""
    text = TextSet(opening.name, opening.heldout())
    return GreedySet(text, opening.batch_sequences, opening.apart)


@dataclass(frozen=True, slots=True, eq=False)
class GreedySet:
    """Rows whose scored tokens are compared with the most likely ones.

    Args:
        text: The rows, and which of their tokens count.
        batch_sequences: Rows per forward pass.
        apart: Lengths that no batch spans.
    """

    text: TextSet
    batch_sequences: int = 8
    apart: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Name of the evaluation set."""
        return self.text.name

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """``greedy_match`` and ``token_accuracy``."""
        return Metric.of(self.name, GREEDY_MATCH), Metric.of(self.name, TOKEN_ACCURACY)

    @property
    def n_examples(self) -> int:
        """Number of rows."""
        return self.text.n_examples

    @property
    def n_tokens(self) -> int:
        """Tokens of all rows."""
        return self.text.n_tokens

    @property
    def fingerprint(self) -> str:
        """Hash of the rows and of what is measured on them."""
        facts = f"greedy {self.text.fingerprint} {self.apart}"
        return hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()

    def evaluate(self, model: Any, part: Part = WHOLE) -> tuple[Measurement, ...]:
        """Compare every scored token of the part's rows with the most likely one.

        Args:
            model: Causal language model in evaluation mode.
            part: Which rows.

        Raises:
            EvaluationError: If the logits of a row are not finite.
        """
        rows = self.text.rows(part.examples(self.n_examples))
        right = np.empty(len(rows))
        device = next(model.parameters()).device
        for batch in make_batches(rows, self.batch_sequences, device, apart=self.apart):
            right[batch.rows] = _right_tokens(model, batch)
        n_scored = np.array([row.n_scored for row in rows], dtype=float)
        matches = np.where(np.isnan(right), np.nan, right == n_scored)
        return (
            Measurement(f"{self.name}/{GREEDY_MATCH.name}", matches, np.ones(len(rows))),
            Measurement(f"{self.name}/{TOKEN_ACCURACY.name}", right / n_scored, n_scored),
        )


def _right_tokens(model: Any, batch: Batch) -> Array:
    """Scored tokens of each row that are the most likely ones; NaN where a logit is not finite."""
    logits = scored_logits(model, batch)
    is_right = (logits.argmax(dim=-1) == batch.ids[:, 1:][batch.scored]).double()
    is_right[~torch.isfinite(logits).all(dim=-1)] = torch.nan
    empty = torch.zeros(batch.scored.shape, dtype=is_right.dtype, device=is_right.device)
    counted: Array = empty.masked_scatter(batch.scored, is_right).sum(dim=1).cpu().numpy()
    return counted
