"""Every metric of a merge, with its derivatives in the shares.

Notation:
    n: shares.  E: examples of a set.  Value of example e = scale_e · its counted nats; a metric =
    factor · all counted nats (`DifferentiableMetric`).

Method:
    Values come out of the pass that gives the slopes. Sets whose slopes nobody asked for, metrics
    that have none (accuracy) and rows that count for none (wrong choices) take the plain forward.
    Where gradients come summed over a batch, derivatives of each example take a batch of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from mixwise.arrays import Array
from mixwise.evaluation.likelihood.rows import Indices, batch_nats, make_batches
from mixwise.evaluation.likelihood.sets import Differentiable, LikelihoodSet, in_row_order
from mixwise.evaluation.suite import PreparedSuite
from mixwise.merging.multi_lora import UnmergedAdapters, can_serve, targets_of
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LinearRule, MergeRule
from mixwise.merging.tangents import WeightMap, tangents_of
from mixwise.merging.task_vectors.adapters import LoraExpert
from mixwise.mixture import Mixture
from mixwise.observation import Derivatives, Measurement
from mixwise.scorer import Request
from mixwise.scoring.derivatives.curvature import AdapterCurvature, ModelCurvature
from mixwise.scoring.derivatives.slopes import AdapterSlopes, Differentiator, ModelSlopes


def measure_derivatives(
    pool: ExpertPool,
    mixture: Mixture,
    rule: MergeRule,
    suite: PreparedSuite,
    *,
    request: Request,
    sets: Collection[str],
) -> tuple[Measurement, ...]:
    """Merge a mixture, measure it, and differentiate what was measured.

    Args:
        pool: The experts and the live model, which holds the merge afterwards.
        mixture: Shares of the pool's domains; derivatives are in their order.
        rule: The merge rule.
        suite: The sets, prepared on the live model's device.
        request: Order 1 or 2, which examples, and whether derivatives of each are wanted.
        sets: Names of the sets that are differentiated.

    Returns:
        Every measurement of the suite, in its order.

    Raises:
        EvaluationError: If a value or a slope is not finite; names the metric.
    """
    pool.merge(mixture, rule)
    differentiate = differentiator(pool, mixture, rule, request)
    measured: list[Measurement] = []
    for chosen in suite.suite.sets:
        if chosen.name in sets and isinstance(chosen, LikelihoodSet):
            measured += _measure_set(pool, suite, chosen, request, differentiate)
        else:
            measured += suite.measure(pool.live.module, chosen, request.part)
    return tuple(measured)


def differentiator(
    pool: ExpertPool, mixture: Mixture, rule: MergeRule, request: Request
) -> Differentiator:
    """Choose the cheapest way to differentiate a merge.

    Factors are traced while they are smaller than the weights that they change, whose gradients
    they spare; and for derivatives of each example, which they give at no cost.
    """
    shares = pool.shares(mixture).tolist()
    experts = [vector for vector in pool.vectors if isinstance(vector, LoraExpert)]
    if isinstance(rule, LinearRule) and experts and can_serve(pool.live, experts):
        weight_map = WeightMap.of(rule.coefficients, shares)
        if request.per_example or _factors_are_thin(pool, experts):
            adapters = UnmergedAdapters(pool.live, experts)
            if request.order == 1:
                return AdapterSlopes(pool.live, adapters, weight_map)
            return AdapterCurvature(pool.live, adapters, weight_map)
    tangents = tangents_of(rule, pool.vectors, shares, kept=pool.kept)
    if request.order == 1:
        return ModelSlopes(pool.live, tangents)
    return ModelCurvature(pool.live, tangents)


def _factors_are_thin(pool: ExpertPool, experts: Sequence[LoraExpert]) -> bool:
    n_factors = sum(f.a.numel() + f.b.numel() for e in experts for f in e.factors.values())
    return n_factors < sum(pool.live.tensors[name].numel() for name in targets_of(experts))


def _measure_set(
    pool: ExpertPool,
    suite: PreparedSuite,
    chosen: LikelihoodSet,
    request: Request,
    differentiate: Differentiator,
) -> tuple[Measurement, ...]:
    examples = request.part.examples(chosen.n_examples)
    rows, facts = chosen.rows(examples), chosen.differentiable(examples)
    sums = ExampleSums(len(examples), len(pool.domains))
    size = suite.suite.batch_sequences
    is_one_by_one = request.per_example and not differentiate.is_by_row

    def read() -> Iterator[tuple[Indices, Array]]:
        for group in _groups(facts, is_one_by_one=is_one_by_one):
            for batch in make_batches(rows, size, suite.device, group):
                found = differentiate(batch)
                owners = facts.row_examples[batch.rows]
                sums.add(
                    owners if differentiate.is_by_row else owners[:1], found.slopes, found.hessians
                )
                yield batch.rows, found.nats
        rest = np.flatnonzero(~facts.counted)
        for batch in make_batches(rows, size, suite.device, rest) if len(rest) else ():
            with torch.inference_mode():
                yield batch.rows, batch_nats(pool.live.module, batch).cpu().numpy()

    measured = chosen.measure(in_row_order(read()), examples)
    return tuple(sums.attach(measurement, facts, request) for measurement in measured)


def _groups(facts: Differentiable, *, is_one_by_one: bool) -> Iterator[Indices]:
    """Counted rows that may stand in one batch."""
    counted = np.flatnonzero(facts.counted)
    if not is_one_by_one:
        yield counted
        return
    owners = facts.row_examples[counted]
    for example in np.unique(owners):
        yield counted[owners == example]


class ExampleSums:
    """Derivatives of the rows' likelihoods, summed by example.

    Where derivatives come summed over a batch of several examples, only their total has a meaning.
    """

    def __init__(self, n_examples: int, n_shares: int) -> None:
        self._slopes = np.zeros((n_examples, n_shares))
        self._hessians = np.zeros((n_examples, n_shares, n_shares))

    def add(self, owners: Indices, slopes: Array, hessians: Array | None) -> None:
        """Add derivatives in nats of some examples."""
        np.add.at(self._slopes, owners, slopes)
        if hessians is not None:
            np.add.at(self._hessians, owners, hessians)

    def attach(
        self, measurement: Measurement, facts: Differentiable, request: Request
    ) -> Measurement:
        """Give a measurement its derivatives, if its metric has any."""
        metric = next((m for m in facts.metrics if m.name == measurement.metric), None)
        if metric is None:
            return measurement
        scale, is_second = metric.example_scale, request.order == 2
        slopes, hessians = self._slopes, self._hessians
        derivatives = Derivatives(
            slopes=metric.factor * slopes.sum(axis=0),
            hessian=metric.factor * hessians.sum(axis=0) if is_second else None,
            example_slopes=scale[:, None] * slopes if request.per_example else None,
            example_hessians=(
                scale[:, None, None] * hessians if request.per_example and is_second else None
            ),
        )
        return replace(measurement, derivatives=derivatives)
