"""Whether what an expert keeps beside its parameters is what the base keeps.

Buffers (tables of relative positions, masks, constants) are no weights: their average is the buffer
of no model. Batch norm's running statistics are measured anew (`mixwise.models.batch_norm`).
"""

from __future__ import annotations

import torch

from mixwise.errors import CheckpointError
from mixwise.models.batch_norm import statistics_names
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.live_model import LiveModel


def require_same_buffers(live: LiveModel, checkpoint: Checkpoint) -> None:
    """Refuse an expert whose buffers are not those of the base.

    Args:
        live: The live model of the base.
        checkpoint: An expert that fits it; an adapter has none.

    Raises:
        CheckpointError: Names the first buffer that differs.
    """
    if checkpoint.is_adapter:
        return
    measured = statistics_names(live.module)
    state = live.module.state_dict(keep_vars=True)
    names = [
        name
        for name in live.tensors
        if not isinstance(state[name], torch.nn.Parameter) and name not in measured
    ]
    stored = live.match(checkpoint) if names else {}
    for name in names:
        theirs = checkpoint.load_tensor(stored[name])
        if not torch.equal(live.base_tensor(name).to(theirs.dtype), theirs):
            raise CheckpointError(
                f"{checkpoint.folder}: `{name}` is no parameter, but a buffer of the model, which "
                "cannot be merged, and differs from the base's: use an expert that keeps it"
            )
