"""Second derivatives at the base along task vectors: what experts do to each set, and together.

Notation:
    θ₀: base.  δᵢ: task vector of expert i.  g, H: gradient and Hessian at θ₀ of a set's metric.

Method:
    For each set, one backward pass gives ⟨g, δᵢ⟩, and a Hessian–vector product along every δⱼ gives
    δᵢᵀHδⱼ and ‖Hδⱼ‖, tensor by tensor: no gradient and no product of the model's size is kept. Time:
    some 3 + 6n forward passes over the examples that are read.

Source:
    Pearlmutter 1994, Fast exact multiplication by the Hessian.

Departures:
    ‖Hδⱼ‖ is the mean over batches: the norm of the mean would need the product to be kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from mixwise.diagnostics.interference import Interactions
from mixwise.evaluation.rows import Batch, batch_nats, make_batches
from mixwise.evaluation.sets import EvaluationSet
from mixwise.evaluation.suite import PreparedSuite
from mixwise.merging.experts import ExpertPool
from mixwise.merging.tangents import CoefficientTangents, WeightMap
from mixwise.merging.task_vectors import TaskVector
from mixwise.observation import Array
from mixwise.scorer import Part
from mixwise.scoring.slopes import differentiable_tensors

if TYPE_CHECKING:
    from torch import Tensor


def measure_interactions(
    pool: ExpertPool, suite: PreparedSuite, *, sets: Collection[str], part: Part
) -> Interactions:
    """Differentiate the first metric of each set twice at the base, along the task vectors.

    Args:
        pool: The experts and the live model, which holds the base afterwards.
        suite: The sets, prepared on the live model's device.
        sets: Names of those that are measured; they have differentiable metrics.
        part: Which examples are read.

    Returns:
        One row per set, in the suite's order.
    """
    pool.live.write_checkpoint(pool.live.base)
    vectors = list(pool.task_vectors.values())
    norms = _norms(pool, vectors)
    chosen = [s for s in suite.suite.sets if s.name in sets]
    found = [_measure_set(pool, suite, one, part) for one in chosen]
    return Interactions(
        domains=pool.domains,
        metrics=tuple(row.metric for row in found),
        slopes=np.stack([row.slopes for row in found]),
        curvatures=np.stack([row.curvature for row in found]),
        bends=np.stack([row.bends for row in found]) / np.where(norms > 0, norms, 1.0),
        n_tokens=sum(row.n_tokens for row in found),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """⟨g, δᵢ⟩, δᵢᵀHδⱼ and ‖Hδⱼ‖ of one set's metric."""

    metric: str
    slopes: Array
    curvature: Array
    bends: Array
    n_tokens: int


def _measure_set(pool: ExpertPool, suite: PreparedSuite, chosen: EvaluationSet, part: Part) -> _Row:
    examples = part.examples(chosen.n_examples)
    rows, facts = chosen.rows(examples), chosen.differentiable(examples)
    counted = np.flatnonzero(facts.counted)
    batches = make_batches(rows, suite.suite.batch_sequences, suite.device, counted)
    found = [_measure_batch(pool, batch) for batch in batches]
    metric = facts.metrics[0]
    n = len(batches)
    return _Row(
        metric.name,
        slopes=metric.factor * np.sum([b.slopes for b in found], axis=0),
        curvature=metric.factor * np.sum([b.curvature for b in found], axis=0),
        bends=metric.factor * n * np.mean([b.bends for b in found], axis=0),
        n_tokens=sum(batch.n_tokens for batch in batches),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _BatchProducts:
    """The same of a batch's likelihoods, in nats."""

    slopes: Array
    curvature: Array
    bends: Array


def _measure_batch(pool: ExpertPool, batch: Batch) -> _BatchProducts:
    vectors = list(pool.task_vectors.values())
    n = len(vectors)
    tangents = CoefficientTangents(WeightMap(np.eye(n), np.zeros((n, n, n))), vectors)
    column, squares = np.zeros(n), np.zeros(())

    def reduce(name: str, product: Tensor) -> None:
        np.add(column, tangents.pull(name, product), out=column)
        np.add(squares, float(product.double().square().sum()), out=squares)

    slopes, curvature, bends = np.zeros(n), np.zeros((n, n)), np.zeros(n)
    with (
        differentiable_tensors(pool.live, tangents, reduce) as tensors,
        sdpa_kernel(SDPBackend.MATH),
    ):
        nats = batch_nats(pool.live.module, batch).sum()
        found = torch.autograd.grad(
            nats, list(tensors.values()), create_graph=True, allow_unused=True
        )
        gradients = {k: g for k, g in zip(tensors, found, strict=True) if g is not None}
        for name, gradient in gradients.items():
            slopes += tangents.pull(name, gradient.detach())
        for j, direction in enumerate(np.eye(n)):
            column[:], squares[...] = 0, 0
            curved = {name: g for name, g in gradients.items() if g.requires_grad}
            along = [tangents.push(name, direction).to(g) for name, g in curved.items()]
            torch.autograd.backward(list(curved.values()), along, retain_graph=j < n - 1)
            curvature[:, j], bends[j] = column, np.sqrt(squares)
    return _BatchProducts(slopes, (curvature + curvature.T) / 2, bends)


def _norms(pool: ExpertPool, vectors: Sequence[TaskVector]) -> Array:
    """‖δᵢ‖ of each expert."""
    squares = np.zeros(len(vectors))
    for name in pool.live.tensors:
        for k, vector in enumerate(vectors):
            if name in vector:
                delta = vector.load(name).contiguous()
                squares[k] += vector.dot(name, delta)
    return np.sqrt(squares)
