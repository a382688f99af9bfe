"""Merged candidates scored one layer at a time: for models that do not fit beside their experts.

Notation:
    K: candidates at work together.  b: batches.  h: hidden states between two layers.

Method:
    The model is a skeleton. First its embeddings are merged and every batch runs into the decoder,
    whose layers only note what they are called with. Then, layer by layer, the layer is merged for
    all K candidates in one pass over its task vectors, and every h passes through its candidate's.
    At last the norm and the head are merged, and the model is called once more with layers that
    hand over the last h. Between layers h lies in the CPU's memory. The peak for K candidates is at
    most

        outer tensors + K · (largest layer + tokens · width · bytes) + work of one batch + 32 MiB,

    and K is the largest number for which that is within the budget. Outer tensors and layers are
    not there at the same time, but a C library's allocator keeps freed blocks of a layer's size,
    and up to 32 MiB of others.

Source:
    Sheng et al. 2023, FlexGen (arXiv 2303.06865), the zig-zag block schedule: a layer's weights
    serve many batches before the next layer's are loaded.

Departures:
    Weights are not loaded but merged; the batches are of several models. Tensors outside the layers
    are merged for one candidate at a time, twice: there may be more of them than in a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch

from mixwise.arrays import Array
from mixwise.errors import ResourceError
from mixwise.evaluation.likelihood.rows import Batch
from mixwise.evaluation.sets import WHOLE
from mixwise.evaluation.suite import PreparedSuite
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import MergeRule, TensorRule
from mixwise.merging.several import merge_tensors
from mixwise.mixture import Mixture
from mixwise.models.skeleton import Skeleton
from mixwise.observation import Measurement
from mixwise.scorer import Part
from mixwise.scoring.worker.layerwise import State, enter, leave, pass_through

_WIDE_ACTIVATIONS = 4  # tensors as wide as a layer's widest that live at the same time
_KEPT_BYTES = 32 << 20  # glibc's DEFAULT_MMAP_THRESHOLD_MAX: smaller blocks are not given back
_LOGITS = 2  # they, and their logarithms of one piece or their copy in float32


def evaluate_streamed(
    skeleton: Skeleton,
    pool: ExpertPool,
    rule: MergeRule,
    mixtures: Sequence[Mixture],
    suite: PreparedSuite,
    *,
    budget_bytes: int,
    part: Part = WHOLE,
) -> tuple[tuple[Measurement, ...], ...]:
    """Measure merges of several mixtures, layer by layer.

    Args:
        skeleton: The base's architecture.
        pool: The experts, opened with the skeleton's ``live``.
        rule: How they are merged.
        mixtures: Candidates; as many at a time as the budget allows.
        suite: What is measured, on the skeleton's device.
        budget_bytes: Memory for tensors, hidden states and one batch's work; pages of the
            checkpoints and of the store not counted.
        part: Which examples.

    Returns:
        Of each mixture, one measurement per metric.

    Raises:
        ResourceError: If the budget is too small for one candidate.
        CheckpointError: If the architecture does more between its layers than hand on.
        EvaluationError: If a value is not finite; names the metric and the mixture.
    """
    batches = suite.all_batches(part)
    at_once = candidates_within(budget_bytes, skeleton, pool, rule, batches)
    measured: list[tuple[Measurement, ...]] = []
    for start in range(0, len(mixtures), at_once):
        group = mixtures[start : start + at_once]
        nats = iter(_stream(skeleton, pool, rule, group, batches))
        names = [f"merge of `{mixture}`" for mixture in group]
        measured += suite.measure_candidates(lambda _, nats=nats: next(nats), names, part)  # type: ignore[misc]
    return tuple(measured)


def candidates_within(
    budget_bytes: int,
    skeleton: Skeleton,
    pool: ExpertPool,
    rule: MergeRule,
    batches: Sequence[Batch],
) -> int:
    """The largest number of candidates whose peak memory is within a budget.

    Raises:
        ResourceError: If it is not enough for one candidate.
    """
    sizes = _Sizes.of(skeleton, pool, rule, batches)
    n_candidates = (budget_bytes - sizes.shared) // sizes.each
    if n_candidates < 1:
        raise ResourceError(
            f"a candidate read layer by layer takes {sizes.shared + sizes.each:,} bytes of "
            f"memory, but the budget is {budget_bytes:,}: lower `evaluation.batch_sequences` or "
            "`sequence_length`, or raise `evaluation.memory_gb`"
        )
    return n_candidates


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Bytes of what takes memory.

    Args:
        shared: What all candidates need once: outer tensors, the largest batch's or merge's work.
        each: What each needs: its largest layer, the hidden states of all batches.
    """

    shared: int
    each: int

    @classmethod
    def of(
        cls, skeleton: Skeleton, pool: ExpertPool, rule: MergeRule, batches: Sequence[Batch]
    ) -> _Sizes:
        """Sizes for a model and its batches."""
        config = skeleton.module.config.get_text_config(decoder=True)
        tensors = skeleton.live.tensors
        inside = [tuple(layer.names.values()) for layer in skeleton.layers]
        widest = max(max(tensors[n].shape, default=1) for names in inside for n in names)
        element = next(iter(tensors.values())).element_size()
        positions = [batch.ids.numel() for batch in batches]
        n_scored = max(int(batch.scored.sum()) for batch in batches)
        n_deltas = len(pool.vectors) + 1 if isinstance(rule, TensorRule) else 0
        work = (
            max(positions) * widest * element * _WIDE_ACTIVATIONS
            + n_scored * config.vocab_size * 4 * _LOGITS
            + n_deltas * max(tensor.numel() for tensor in tensors.values()) * 4
        )
        return cls(
            shared=skeleton.n_bytes(skeleton.outer) + work + _KEPT_BYTES,
            each=max(map(skeleton.n_bytes, inside)) + sum(positions) * config.hidden_size * element,
        )


@torch.inference_mode()
def _stream(
    skeleton: Skeleton,
    pool: ExpertPool,
    rule: MergeRule,
    mixtures: Sequence[Mixture],
    batches: Sequence[Batch],
) -> list[Array]:
    """Likelihoods of the rows of each batch under every candidate, ``(n_candidates, B)``."""
    states: list[list[State]] = []
    for mixture in mixtures:
        like = states[0] if states else [None] * len(batches)
        with _outer(skeleton, pool, rule, mixture):
            states.append([enter(skeleton, *pair) for pair in zip(batches, like, strict=True)])
    for k in range(len(skeleton.layers)):
        _pass_all(skeleton, pool, rule, mixtures, k, states)
    nats: list[list[Array]] = []
    for mixture, candidate in zip(mixtures, states, strict=True):
        with _outer(skeleton, pool, rule, mixture):
            finished = [leave(skeleton, *pair) for pair in zip(batches, candidate, strict=True)]
        nats.append([values.cpu().numpy() for values in finished])
    return [np.stack(of_batch) for of_batch in zip(*nats, strict=True)]


def _outer(
    skeleton: Skeleton, pool: ExpertPool, rule: MergeRule, mixture: Mixture
) -> AbstractContextManager[None]:
    """The skeleton with one candidate's tensors outside the layers; held by nothing else."""
    [tensors] = merge_tensors(pool, rule, [mixture], skeleton.outer)
    return skeleton.filled(tensors)


def _pass_all(
    skeleton: Skeleton,
    pool: ExpertPool,
    rule: MergeRule,
    mixtures: Sequence[Mixture],
    k: int,
    states: Sequence[list[State]],
) -> None:
    """Run every batch of every candidate through its layer k; the states are replaced."""
    names = tuple(skeleton.layers[k].names.values())
    for tensors, candidate in zip(merge_tensors(pool, rule, mixtures, names), states, strict=True):
        for b, state in enumerate(candidate):
            candidate[b] = pass_through(skeleton, k, tensors, state)
