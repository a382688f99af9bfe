"""Merges of models with batch norm: their running statistics are those of the mixture's own data.

Method:
    B batches of training rows in the mixture's shares, the same rows in the same order at every
    evaluation, go through the merged model (`mixwise.models.batch_norm`). An expert that is written
    as it was saved keeps the statistics of its own run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mixwise.data.blend import blend
from mixwise.data.examples import ExampleStream
from mixwise.data.pixels import ImageStream
from mixwise.errors import EvaluationError, first_line
from mixwise.mixture import Mixture
from mixwise.models.batch_norm import estimate_statistics
from mixwise.models.live_model import LiveModel
from mixwise.recipe import hash_section

if TYPE_CHECKING:
    from torch import Tensor

    from mixwise.merging.pool import ExpertPool
    from mixwise.merging.rules.rule import MergeRule

_SEED = 0  # of the order of rows, which is no run's


@dataclass(frozen=True, slots=True, eq=False)
class StatisticsData:
    """What running statistics are measured on.

    Args:
        streams: Training examples of each domain, in the study's order.
        n_batches: B.
        batch_examples: Examples of a batch: as many as one pass of training normalises together.
    """

    streams: Mapping[str, ImageStream | ExampleStream]
    n_batches: int
    batch_examples: int

    @property
    def n_examples(self) -> int:
        """Examples that are read for the statistics of one merge."""
        return self.n_batches * self.batch_examples

    @property
    def fingerprint(self) -> str:
        """Hash of all that the statistics depend on besides model and mixture."""
        contents = (f"{name} {stream.content_hash}" for name, stream in self.streams.items())
        return hash_section(self.n_batches, self.batch_examples, *contents)

    def batches(self, mixture: Mixture, device: torch.device) -> Iterator[Mapping[str, Tensor]]:
        """Arguments of a classifier, batch by batch.

        Args:
            mixture: Shares of the domains.
            device: Where they go.

        Raises:
            DataError: If a domain with a share has no training example.
        """
        available = {name: stream.n_rows(1) for name, stream in self.streams.items()}
        n = self.n_examples
        order = blend(mixture, n, available, seed=_SEED)
        rows = [stream.rows(1, None) for stream in self.streams.values()]
        for start in range(0, n, self.batch_examples):
            chosen = slice(start, start + self.batch_examples)
            pairs = zip(order.domain[chosen].tolist(), order.row[chosen].tolist(), strict=True)
            items = [rows[domain].item(row) for domain, row in pairs]
            yield _stack(items, device)


def write_merge(
    pool: ExpertPool, mixture: Mixture, rule: MergeRule, data: StatisticsData | None
) -> None:
    """Merge a mixture into the pool's live model, running statistics included.

    Args:
        pool: The experts.
        mixture: Shares of their domains.
        rule: How they are merged.
        data: What statistics are measured on; None for a model that keeps none.

    Raises:
        EvaluationError: If the model cannot read a batch.
    """
    is_as_saved = pool.merge(mixture, rule)
    if data is not None and not is_as_saved:
        measure_statistics(pool.live, mixture, data)


def measure_statistics(live: LiveModel, mixture: Mixture, data: StatisticsData) -> None:
    """Measure the running statistics of the model that is live; see `write_merge`."""
    device = next(live.module.parameters()).device
    try:
        estimate_statistics(live.module, data.batches(mixture, device))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise EvaluationError(
            f"batch norm cannot be measured anew on batches of {data.batch_examples} "
            f"({first_line(error)}): raise `training.batch_sequences`"
        ) from None


def _stack(items: list[dict[str, Any]], device: torch.device) -> dict[str, Tensor]:
    return {
        key: torch.from_numpy(np.stack([item[key] for item in items])).to(device)
        for key in items[0]
        if key != "labels"
    }
