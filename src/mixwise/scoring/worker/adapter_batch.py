"""Many candidates of LoRA experts in one pass over the live model.

Notation:
    K: candidates.  N: experts.  T: tokens of the whole evaluation, t: of one batch, per candidate.
    R, (out, in): ranks of all experts on a weight, and its shape.

Method:
    Each batch of the suite is repeated for as many candidates as memory holds, and served unmerged
    (`mixwise.merging.multi_lora`). Against merging, per candidate and in multiply-adds:

    merged:    Σ in·out·R + 3·(size of the model), once;  T does not matter
    unmerged:  Σ min(factors, built) of each pass / its candidates, for each of its T/t batches

    So candidates are served unmerged where the evaluation is short, and merged where it is long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mixwise.arrays import Array
from mixwise.evaluation.likelihood.rows import Batch, batch_nats
from mixwise.evaluation.sets import WHOLE
from mixwise.evaluation.suite import PreparedSuite
from mixwise.merging.multi_lora import BUILD_COST, UnmergedAdapters, serving_cost
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.models.live_model import LiveModel
from mixwise.observation import Measurement
from mixwise.scorer import Part

_MEMORY_BYTES = 1 << 31  # of activations; on a CPU, page faults of more cost what it saves


@dataclass(frozen=True, slots=True)
class CandidateCost:
    """Multiply-adds per candidate beyond its forward pass.

    Args:
        merged: If each is merged into the live model in its turn.
        unmerged: If they are served together.
    """

    merged: float
    unmerged: float


def candidate_cost(
    live: LiveModel,
    experts: Sequence[LoraExpert],
    *,
    n_candidates: int,
    n_batches: int,
    batch_tokens: int,
) -> CandidateCost:
    """Compare merging with serving unmerged.

    Args:
        live: The live model.
        experts: The experts of any of the candidates.
        n_candidates: Candidates per pass.
        n_batches: Batches of the evaluation.
        batch_tokens: Tokens of a batch, of one candidate.
    """
    shapes = _ranks_by_shape(live, experts)
    size = sum(tensor.numel() for tensor in live.tensors.values())
    merged = sum(out * width * rank for (out, width), rank in shapes) + BUILD_COST * size
    served = sum(
        serving_cost(n_candidates * batch_tokens, n_candidates, len(experts), rank, shape)
        for shape, rank in shapes
    )
    return CandidateCost(float(merged), n_batches * served / n_candidates)


def _ranks_by_shape(
    live: LiveModel, experts: Sequence[LoraExpert]
) -> list[tuple[tuple[int, int], int]]:
    """Shape of every weight that is changed, and the experts' ranks on it together."""
    ranks: dict[str, int] = {}
    for expert in experts:
        for name, factors in expert.factors.items():
            ranks[name] = ranks.get(name, 0) + len(factors.a)
    return [((live.tensors[n].shape[0], live.tensors[n].shape[1]), r) for n, r in ranks.items()]


@torch.inference_mode()
def measure_unmerged(
    live: LiveModel,
    experts: Sequence[LoraExpert],
    merge_weights: Array,
    suite: PreparedSuite,
    *,
    part: Part = WHOLE,
    names: Sequence[str] = (),
    memory_bytes: int = _MEMORY_BYTES,
) -> tuple[tuple[Measurement, ...], ...]:
    """Measure candidates without merging them.

    Args:
        live: The live model; the base is written into it and stays there.
        experts: LoRA experts of that base.
        merge_weights: Shape ``(n_candidates, n_experts)``; experts that no candidate uses cost
            nothing.
        suite: The sets, prepared on the live model's device; likelihood sets alone.
        part: Which examples.
        names: What error texts call the candidates; by default their merge weights.
        memory_bytes: What the activations of a pass may take.

    Returns:
        Every measurement of the suite, for each candidate.

    Raises:
        CheckpointError: If the experts change what cannot be served unmerged; see `can_serve`.
        EvaluationError: If a value is not finite; names the metric and the candidate.
    """
    live.write_checkpoint(live.base)
    used = np.flatnonzero(merge_weights.any(axis=0)).tolist()
    adapters = UnmergedAdapters(live, [experts[i] for i in used])
    called = names or [f"merge by {weights}" for weights in merge_weights.round(4).tolist()]
    measured: list[tuple[Measurement, ...]] = []
    at_once = _candidates_at_once(live, suite, part, memory_bytes)
    for group in _groups(len(merge_weights), at_once):
        n = len(group)

        def read(batch: Batch, n: int = n) -> Array:
            nats = batch_nats(live.module, repeat_batch(batch, n))
            return nats.view(n, -1).cpu().numpy()

        shares = torch.tensor(merge_weights[group][:, used], dtype=torch.float32)
        with adapters.serving(shares.to(suite.device)):
            measured += suite.measure_candidates(read, [called[k] for k in group], part)
    return tuple(measured)


def repeat_batch(batch: Batch, n_candidates: int) -> Batch:
    """The same rows for each candidate, candidate by candidate."""
    mask = batch.attention_mask
    return Batch(
        ids=batch.ids.repeat(n_candidates, 1),
        attention_mask=None if mask is None else mask.repeat(n_candidates, 1),
        scored=batch.scored.repeat(n_candidates, 1),
        rows=np.tile(batch.rows, n_candidates),
    )


def _candidates_at_once(
    live: LiveModel, suite: PreparedSuite, part: Part, memory_bytes: int
) -> int:
    """Candidates whose activations memory holds: logits, and some copies of the widest layer."""
    tokens = max(batch.ids.numel() for batch in suite.all_batches(part))
    tensors = [tensor for tensor in live.tensors.values() if tensor.dim() == 2]
    vocabulary, *others = sorted({max(tensor.shape) for tensor in tensors}, reverse=True)
    per_token = 2 * vocabulary + 8 * max(others, default=vocabulary)
    return max(1, memory_bytes // (tokens * per_token * tensors[0].element_size()))


def _groups(n_candidates: int, at_once: int) -> Iterator[np.ndarray]:
    """Candidates that are served together; groups of nearly the same size."""
    yield from np.array_split(np.arange(n_candidates), -(-n_candidates // at_once))
