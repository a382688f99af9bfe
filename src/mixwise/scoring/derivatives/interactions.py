"""Second derivatives at the base along task vectors: what experts do to each set, and together.

Notation:
    θ₀: base.  δᵢ: task vector of expert i.  g, H: gradient and Hessian at θ₀ of a set's metric.

Method:
    For each set, one backward pass gives ⟨g, δᵢ⟩, and a Hessian–vector product along every δⱼ gives
    δᵢᵀHδⱼ and ‖Hδⱼ‖, tensor by tensor. Memory: the graph of a batch and one gradient, whatever n
    is. Time: some 3 + 6n forward passes over the examples that are read.

Source:
    Pearlmutter 1994, Fast exact multiplication by the Hessian.

Departures:
    ‖Hδⱼ‖ is summed over batches, which is an upper bound where there are several: the norm of the
    sum would need the product to be kept.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from mixwise.arrays import Array
from mixwise.diagnostics.interference import Interactions
from mixwise.evaluation.likelihood.rows import Batch, batch_nats, make_batches
from mixwise.evaluation.likelihood.sets import LikelihoodSet
from mixwise.evaluation.suite import PreparedSuite
from mixwise.merging.pool import ExpertPool
from mixwise.merging.tangents import CoefficientTangents, WeightMap
from mixwise.scorer import Part
from mixwise.scoring.derivatives.curvature import backward_along
from mixwise.scoring.derivatives.slopes import differentiable_tensors

if TYPE_CHECKING:
    from torch import Tensor


def measure_interactions(
    pool: ExpertPool, suite: PreparedSuite, *, sets: Collection[str], part: Part
) -> Interactions:
    """Differentiate every differentiable metric of some sets at the base, along task vectors.

    Args:
        pool: The experts and the live model, which holds the base afterwards.
        suite: The sets, prepared on the live model's device.
        sets: Names of those that are measured; they have differentiable metrics.
        part: Which examples are read.

    Returns:
        One row per metric, in the suite's order.
    """
    pool.live.write_checkpoint(pool.live.base)
    chosen = [s for s in suite.suite.likelihood_sets if s.name in sets]
    found = [row for one in chosen for row in _measure_set(pool, suite, one, part)]
    norms = pool.inner_products().diagonal()[: len(pool.domains)].sqrt().numpy()
    return Interactions(
        domains=pool.domains,
        metrics=tuple(row.metric for row in found),
        slopes=np.stack([row.factor * row.nats.slopes for row in found]),
        curvatures=np.stack([row.factor * row.nats.curvature for row in found]),
        curvature_norms=np.stack([row.factor * row.nats.curvature_norms for row in found])
        / np.where(norms > 0, norms, 1.0),
        n_tokens=sum(row.nats.n_tokens for row in {id(row.nats): row for row in found}.values()),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Products:
    """⟨g, δᵢ⟩, δᵢᵀHδⱼ and ‖Hδⱼ‖ of some rows' likelihoods, in nats."""

    slopes: Array
    curvature: Array
    curvature_norms: Array
    n_tokens: int

    def __add__(self, other: _Products) -> _Products:
        return _Products(
            self.slopes + other.slopes,
            self.curvature + other.curvature,
            self.curvature_norms + other.curvature_norms,
            self.n_tokens + other.n_tokens,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """A metric: a factor times the nats of its set."""

    metric: str
    factor: float
    nats: _Products


def _measure_set(
    pool: ExpertPool, suite: PreparedSuite, chosen: LikelihoodSet, part: Part
) -> list[_Row]:
    examples = part.examples(chosen.n_examples)
    rows, facts = chosen.rows(examples), chosen.differentiable(examples)
    counted = np.flatnonzero(facts.counted)
    batches = make_batches(rows, suite.suite.batch_sequences, suite.device, counted)
    nats = functools.reduce(operator.add, (_measure_batch(pool, batch) for batch in batches))
    return [_Row(metric.name, metric.factor, nats) for metric in facts.metrics]


def _measure_batch(pool: ExpertPool, batch: Batch) -> _Products:
    vectors = list(pool.task_vectors.values())
    n = len(vectors)
    weight_map = WeightMap(np.eye(n), np.zeros((n, n, n)))
    tangents = CoefficientTangents(weight_map, vectors, pool.kept)
    column, squares = np.zeros(n), np.zeros(())

    def reduce(name: str, product: Tensor) -> None:
        np.add(column, tangents.pull(name, product), out=column)
        np.add(squares, float(product.double().square().sum()), out=squares)

    slopes, curvature, curvature_norms = np.zeros(n), np.zeros((n, n)), np.zeros(n)
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
            backward_along(tangents, gradients, direction, is_last=j == n - 1)
            curvature[:, j], curvature_norms[j] = column, np.sqrt(squares)
    return _Products(slopes, (curvature + curvature.T) / 2, curvature_norms, batch.n_tokens)
