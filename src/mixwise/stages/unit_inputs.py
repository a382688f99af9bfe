"""What units of a study's models are measured on: the first held-out rows of every set.

Language models read sequences, and predict at each position; classifiers read examples, texts or
images, and predict once for each. No batch holds texts of two lengths: padding is no input.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mixwise.evaluation.likelihood.labels import LabelSet
from mixwise.evaluation.likelihood.rows import Row
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import EvaluationSuite


def heldout_batches(suite: EvaluationSuite, n_rows: int, device: str) -> list[Tensor]:
    """Inputs of the models of a study, as their first argument takes them.

    Args:
        suite: The study's; sets of texts and of labelled examples are read.
        n_rows: At most so many sequences or examples of each.
        device: Where they go.
    """
    found: list[Tensor] = []
    for chosen in suite.sets:
        if isinstance(chosen, TextSet):
            rows = chosen.rows(np.arange(min(n_rows, chosen.n_examples)))
            found += _of_texts(rows, suite.batch_sequences, device)
        elif isinstance(chosen, LabelSet):
            rows = chosen.rows(np.arange(min(n_rows, chosen.n_examples)))[:: chosen.n_labels]
            if rows[0].pixels is None:
                found += _of_texts(rows, suite.batch_sequences, device)
            else:
                found += _of_images(rows, suite.batch_sequences, device)
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
