"""Whether a classifier reads an example by what stands beside it in a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mixwise.evaluation.likelihood.probe import TOLERANCE_NATS, Difference, size_of
from mixwise.evaluation.likelihood.rows import Indices, Label, Row, batch_nats, make_batches


def find_padding(model: Any, ids: Indices) -> Difference | None:
    """Whether an example scores otherwise where it is filled up; None within the tolerance.

    The first half of an example is read alone, and beside the whole one.

    Args:
        model: Classifier in evaluation mode.
        ids: An example, shape ``(L,)``, L ≥ 2.
    """
    asked = np.ones(1, dtype=bool)
    half, whole = (
        Row(part, asked, Label(k, 0)) for k, part in enumerate((ids[: len(ids) // 2], ids))
    )
    return find_neighbour(model, half, whole)


def find_neighbour(model: Any, row: Row, other: Row) -> Difference | None:
    """Whether an example scores otherwise beside another one; None within the tolerance.

    Args:
        model: Classifier in evaluation mode.
        row: Asks for a label of the example.
        other: Asks for a label of another example, no shorter.
    """
    device = next(model.parameters()).device
    with torch.inference_mode():
        [by_itself] = make_batches([row], 1, device)
        [together] = make_batches([row, other], 2, device)
        alone, batched = (float(batch_nats(model, batch)[0]) for batch in (by_itself, together))
    found = Difference(len(row.ids), alone, batched, 2, len(other.ids), after_shared_prompt=False)
    return found if size_of(found) > TOLERANCE_NATS else None
