"""What units of a study's models are measured on: the first held-out rows of every set.

Language models read sequences, and predict at each position; classifiers read examples, texts or
images, and predict once for each. No batch holds texts of two lengths: padding is no input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mixwise.diagnostics.units.silencing import next_tokens
from mixwise.evaluation.likelihood.labels import LabelSet
from mixwise.evaluation.likelihood.rows import Row
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import EvaluationSuite


@dataclass(frozen=True, slots=True, eq=False)
class UnitBatch:
    """Inputs that pass through a model together.

    Args:
        inputs: As the model's first argument takes them.
        among: The outputs of the classifier that answer for them; None for all.
    """

    inputs: Tensor
    among: range | None = None


def predict_tokens(module: nn.Module, batch: UnitBatch) -> Tensor:
    """What a causal language model predicts at each position."""
    return next_tokens(module, batch.inputs)


def predict_labels(module: nn.Module, batch: UnitBatch) -> Tensor:
    """The most likely label of each example, among those of its set's head."""
    logits: Tensor = module(batch.inputs).logits
    if batch.among is not None:
        logits = logits[:, batch.among.start : batch.among.stop]
    return logits.argmax(dim=-1)


def heldout_batches(suite: EvaluationSuite, n_rows: int, device: str) -> list[UnitBatch]:
    """Inputs of the models of a study.

    Args:
        suite: The study's; sets of texts and of labelled examples are read.
        n_rows: At most so many sequences or examples of each.
        device: Where they go.
    """
    found: list[UnitBatch] = []
    for chosen in suite.sets:
        if isinstance(chosen, TextSet):
            rows = chosen.rows(np.arange(min(n_rows, chosen.n_examples)))
            found += map(UnitBatch, _of_texts(rows, suite.batch_sequences, device))
        elif isinstance(chosen, LabelSet):
            rows = chosen.rows(np.arange(min(n_rows, chosen.n_examples)))[:: chosen.n_labels]
            read = _of_texts if rows[0].pixels is None else _of_images
            inputs = read(rows, suite.batch_sequences, device)
            found += [UnitBatch(each, chosen.among) for each in inputs]
    return found


def _of_texts(rows: tuple[Row, ...], size: int, device: str) -> Iterator[Tensor]:
    lengths = sorted({len(row.ids) for row in rows})
    for length in lengths:
        ids = np.stack([row.ids for row in rows if len(row.ids) == length]).astype(np.int64)
        for start in range(0, len(ids), size):
            yield torch.from_numpy(ids[start : start + size]).to(device)


def _of_images(rows: tuple[Row, ...], size: int, device: str) -> Iterator[Tensor]:
    places = np.array([row.ids[0] for row in rows])
    pixels = rows[0].pixels
    assert pixels is not None  # whoever calls has looked
    for start in range(0, len(places), size):
        yield torch.from_numpy(pixels.read(places[start : start + size])).to(device)
