"""Whether a model keeps documents of one row apart by their positions: tried out on a real row.

Notation:
    L: tokens of a row.  k: tokens of the first of two documents in it.

Method:
    The row is read as two documents: positions 0 … k−1 and 0 … L−k−1, and no attention mask.
    transformers builds a block-diagonal mask of such positions, for the architectures that ask it
    for one; others take no positions, or leave them be. All tokens of the first document are
    replaced by others: no prediction in the second may move by more than a leak of later tokens may
    (`probe`). Then the second is read alone: it must be predicted alike, to 0.001 nats a token.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mixwise.errors import first_line
from mixwise.evaluation.likelihood.probe import (
    TOLERANCE_NATS,
    is_lack_of_memory,
    least_leak,
    other_tokens,
    token_losses,
)
from mixwise.evaluation.likelihood.rows import Indices


def find_mixing(model: Any, ids: Indices) -> str | None:
    """How documents of one row reach each other, or None where they do not.

    Args:
        model: Causal language model in evaluation mode.
        ids: A real row that it can read, shape ``(L,)``, L ≥ 2.
    """
    k, targets = len(ids) // 2, np.roll(ids, -1)
    positions = np.concatenate([np.arange(k), np.arange(len(ids) - k)])
    others = other_tokens(ids, model.get_input_embeddings().weight.shape[0])
    try:
        before = token_losses(model, ids, targets, positions)
        after = token_losses(model, np.concatenate([others[:k], ids[k:]]), targets, positions)
    except (RuntimeError, IndexError, ValueError, TypeError, AssertionError) as error:
        if is_lack_of_memory(error):
            raise
        return f"it cannot be told where they begin: {first_line(error)}"
    moves = (after - before).abs()
    leak, effect = float(moves[k:].max()), float(moves[:k].max())
    if leak > least_leak(model, before, effect):
        return f"changing the first of two documents moves the second by {leak:.2g} nats"
    alone = token_losses(model, ids[k:], targets[k:])
    difference = float((before[k:] - alone).abs().mean())
    if difference > TOLERANCE_NATS:
        return f"the second of two documents is {difference:.2g} nats per token off its score alone"
    return None
