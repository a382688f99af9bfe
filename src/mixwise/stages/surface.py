"""The surrogate of every metric as a result: what the page computes with, offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mixwise.arrays import Array
from mixwise.objective import Metric, Objective
from mixwise.observation import Observation
from mixwise.search.problem import shares_of
from mixwise.search.surrogates.gaussian_process import Posterior
from mixwise.search.surrogates.objective_model import (
    CompanionModel,
    MetricModel,
    Surface,
    evidence_for,
)
from mixwise.study.surface import MetricSurface, SurfaceFound, processes_of


def describe_surface(
    surface: Surface,
    observations: Sequence[Observation],
    objective: Objective,
    *,
    final_seeds: int,
) -> SurfaceFound:
    """Put a fitted surface into numbers, with how far it misses what it has not seen.

    Args:
        surface: Of every metric, fitted to the observations.
        observations: What was scored.
        objective: What is maximised; it may read fewer metrics.
        final_seeds: Seeds of the final run.
    """
    data, scale = evidence_for(surface.problem, observations), surface.problem.scale
    metrics = surface.problem.objective.metrics
    values = surface.problem.metric_values(data)
    predicted = np.stack(
        [_left_out(model, values[:, k]) for k, model in enumerate(surface.models)], axis=1
    )
    shares = shares_of(data)
    mixed = (shares > 0).sum(axis=1) > 1
    errors = [_root_mean_square((predicted - values)[mixed, k]) for k in range(len(metrics))]
    rows = [_metric(surface, k, objective, error) for k, error in enumerate(errors)]
    own = [metrics.index(metric) for metric in objective.metrics]
    missed = objective.aggregate(predicted[:, own], scale)
    missed = missed - objective.aggregate(values[:, own], scale)
    return SurfaceFound(
        domains=surface.problem.space.domains,
        points=tuple(tuple(row) for row in shares.tolist()),
        aggregation=objective.aggregation,
        metrics=tuple(sorted(rows, key=lambda row: row.weight == 0 and row.floor is None)),
        error=_root_mean_square(missed[mixed]),
        final_seeds=final_seeds,
    )


def _left_out(model: MetricModel, values: Array) -> Array:
    assert isinstance(model, Posterior | CompanionModel)  # what a surface is fitted with
    return model.left_out(values)


def _root_mean_square(missed: Array) -> float | None:
    """Of what was missed; None of fewer than two."""
    return float(np.sqrt((missed**2).mean())) if len(missed) > 1 else None


def _metric(
    surface: Surface, place: int, objective: Objective, error: float | None
) -> MetricSurface:
    metric, scale = surface.problem.objective.metrics[place], surface.problem.scale
    term = next((term for term in objective.terms if term.metric.name == metric.name), None)
    return MetricSurface(
        metric=metric.name,
        direction=metric.direction,
        weight=term.weight if term else 0.0,
        base=scale.base[metric.name],
        spread=scale.spread[metric.name],
        floor=_floor(objective, metric, scale.base),
        group=term.group if term else None,
        error=error,
        processes=processes_of(surface.models[place]),
    )


def _floor(objective: Objective, metric: Metric, base: Mapping[str, float]) -> float | None:
    """The tightest of its floors."""
    floors = [floor for floor in objective.floors if floor.metric.name == metric.name]
    limits = [floor.limit(base) for floor in floors]
    return max(limits, key=lambda limit: metric.sign * limit) if limits else None
