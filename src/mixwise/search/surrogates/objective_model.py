"""Surrogate of the objective: one Gaussian process per metric, aggregated.

Notation:
    x_m(λ): metric m.  J(λ): objective.  v_m: its companion, the differentiable metric of the same
    evaluation set (bits per byte of the right answers beside their accuracy).

Method:
    Differentiable metrics are fitted to values, and to slopes where the scorer gives them. One that
    jumps is a line in its companion's
    prediction plus a Gaussian process of the residual, or that process alone where it has none.
    The worst gain has kinks; the climb sees −τ log Σ exp(−g_m/τ), which is smooth and nearly it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import MixtureSpace
from mixwise.objective import PENALTY, Metric
from mixwise.observation import Measurement, Observation
from mixwise.search.problem import SearchProblem, shares_of
from mixwise.search.space.simplex import climb, project, sample
from mixwise.search.space.vertices import extreme_points
from mixwise.search.surrogates.gaussian_process import (
    JUMPING_KERNELS,
    NO_LIMIT,
    Evidence,
    Posterior,
    fit_all,
)

_SOFTNESS = 0.005  # τ, in gains
_N_SAMPLES = 512
_N_STARTS = 6
_LEAST_FOR_A_LINE = 4  # observations that a companion's line is fitted to


class MetricModel(Protocol):
    """Posterior of a metric."""

    def predict(self, shares: Array) -> tuple[Array, Array]:
        """Values ``(n,)`` and slopes in the shares ``(n, n_domains)``."""
        ...

    def deviation(self, shares: Array) -> Array:
        """Posterior standard deviation, ``(n,)``."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class CompanionModel:
    """A metric as a line in another one, plus a residual.

    Args:
        companion: The other metric's model.
        tilt: Change of this metric per unit of the other.
        rest: Model of what the line leaves.
    """

    companion: Posterior
    tilt: float
    rest: Posterior

    def predict(self, shares: Array) -> tuple[Array, Array]:
        """Values ``(n,)`` and slopes in the shares ``(n, n_domains)``."""
        values, slopes = self.companion.predict(shares)
        left, left_slopes = self.rest.predict(shares)
        return self.tilt * values + left, self.tilt * slopes + left_slopes

    def deviation(self, shares: Array) -> Array:
        """Posterior standard deviation, ``(n,)``, the two parts taken as independent."""
        return np.hypot(self.tilt * self.companion.deviation(shares), self.rest.deviation(shares))

    def left_out(self, values: Array) -> Array:
        """Each value that it was fitted to, predicted from the other points, ``(n,)``.

        The line in the companion is kept; what it leaves is predicted from the other points.
        """
        shares = self.rest.origin + self.rest.points @ self.rest.basis.T
        line = self.tilt * self.companion.predict(shares)[0]
        return line + self.rest.left_out(values - line)


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Posterior of the objective.

    Args:
        problem: Whose objective.
        models: One per metric of the objective, in its order.
    """

    problem: SearchProblem
    models: tuple[MetricModel, ...]

    def metrics(self, shares: Array) -> Array:
        """Expected metrics, ``(n, n_domains)`` → ``(n, n_metrics)``."""
        return np.stack([model.predict(shares)[0] for model in self.models], axis=1)

    def value(self, shares: Array) -> Array:
        """Objective of the expected metrics, ``(n, n_domains)`` → ``(n,)``, as it is compared."""
        return self.problem.pulled(self.measured(shares), shares)

    def measured(self, shares: Array) -> Array:
        """The same whatever the problem's prior is."""
        return self.problem.objective.aggregate(self.metrics(shares), self.problem.scale)

    def ascent(self, shares: Array) -> tuple[Array, Array]:
        """A smooth objective, ``(n,)``, and its slopes in the shares, ``(n, n_domains)``."""
        predicted = [model.predict(shares) for model in self.models]
        values = np.stack([row[0] for row in predicted], axis=1)
        slopes = np.stack([row[1] for row in predicted], axis=1)
        height, ascent = smooth_objective(self.problem, values, slopes)
        return (
            self.problem.pulled(height, shares),
            self.problem.pulled_slopes(ascent, shares),
        )

    def draws(self, shares: Array, n: int, *, seed: int) -> Array:
        """Objectives drawn from the posterior at each point on its own, ``(n, n_points)``."""
        means = self.metrics(shares)
        spread = np.stack([model.deviation(shares) for model in self.models], axis=1)
        noise = np.random.default_rng(seed).standard_normal((n, 1, len(self.models)))
        drawn = self.problem.objective.aggregate(means + spread * noise, self.problem.scale)
        return self.problem.pulled(drawn, shares)

    def top(self, space: MixtureSpace, *, near: Array, seed: int) -> Array:
        """The point of a space where the objective's posterior mean is largest.

        Args:
            space: Where to look; the search's own or a part of it.
            near: Points to start from besides random ones, shape ``(n, n_domains)``.
            seed: Decides the random ones.
        """
        corners = extreme_points(space, 128, seed=seed)
        points = np.concatenate(
            [project(near, space), corners, sample(space, _N_SAMPLES, seed=seed)]
        )
        order = np.argsort(-self.value(points), kind="stable")
        starts = np.concatenate([points[:1], points[order[:_N_STARTS]]])
        tops = np.concatenate([starts, climb(self.ascent, space, starts)])
        return np.asarray(tops[int(self.value(tops).argmax())])


def smooth_objective(problem: SearchProblem, values: Array, slopes: Array) -> tuple[Array, Array]:
    """The objective and its slopes from those of its metrics, kinks rounded.

    Args:
        problem: Whose objective.
        values: x_m, shape ``(n, n_metrics)``.
        slopes: dx_m/dλ, shape ``(n, n_metrics, n_domains)``.

    Returns:
        J, ``(n,)``, and dJ/dλ, ``(n, n_domains)``.
    """
    objective, scale = problem.objective, problem.scale
    spread = np.array([scale.spread[metric.name] for metric in objective.metrics])
    sign = np.array([metric.sign for metric in objective.metrics])
    tells, all_gains = spread > 0, objective.gains(values, scale)
    per_unit = np.where(tells, sign / np.where(tells, spread, 1.0), 0.0)
    if objective.aggregation == "mean":
        weight = objective.weights * tells
        parts = np.broadcast_to(weight / weight.sum(), values.shape)
        height = objective.aggregate(values, scale)
    else:
        gains = np.where(tells & (objective.weights > 0), all_gains, np.inf)
        least = gains.min(axis=1, keepdims=True)
        shifted = np.exp(-(gains - least) / _SOFTNESS)
        parts = shifted / shifted.sum(axis=1, keepdims=True)
        height = least[:, 0] - _SOFTNESS * np.log(shifted.sum(axis=1))
        height = height - objective.penalty(all_gains, scale)
    parts = parts + PENALTY * (all_gains < objective.floor_gains(scale))
    return height, np.einsum("nm,nmd->nd", parts * per_unit, slopes)


def fit_surface(problem: SearchProblem, observations: Sequence[Observation]) -> Surface:
    """Fit every metric of the objective to all that is known.

    Args:
        problem: Its objective, and observations that were made before the search.
        observations: What the search scored; at least one.
    """
    data = evidence_for(problem, observations)
    metrics = problem.objective.metrics
    smooth = [m for m in metrics if m.is_differentiable or has_slopes(data, m.name)]
    companions = {m.name: companion_of(data, m) for m in metrics}
    names = {metric.name for metric in smooth} | {c for c in companions.values() if c is not None}
    posteriors = _fit_smooth(data, sorted(names))
    models = [
        posteriors[metric.name]
        if metric.name in posteriors
        else _fit_values(data, metric, posteriors.get(companions[metric.name] or ""))
        for metric in metrics
    ]
    return Surface(problem, tuple(models))


def evidence_for(problem: SearchProblem, observations: Sequence[Observation]) -> list[Observation]:
    """What a surface is fitted to: observations, and what was known before and is not among them.

    Args:
        problem: The problem.
        observations: What the search scored.
    """
    keys = {str(o.mixture) for o in observations}
    news = [o for o in problem.known if o.mixture is not None and str(o.mixture) not in keys]
    return [*observations, *news]


def has_slopes(observations: Sequence[Observation], metric: str) -> bool:
    """Whether any observation holds the slopes of a metric."""
    return any(o.measurement(metric).derivatives is not None for o in observations)


def companion_of(observations: Sequence[Observation], metric: Metric) -> str | None:
    """The metric with slopes of the same set, for one that has none."""
    if metric.is_differentiable or has_slopes(observations, metric.name):
        return None
    prefix = f"{metric.set_name}/"
    names = [m.metric for m in observations[0].measurements if m.metric.startswith(prefix)]
    return next((name for name in names if has_slopes(observations, name)), None)


def _evidence(data: Sequence[Observation], metric: str) -> Evidence:
    rows = [o.measurement(metric) for o in data]
    sloped = [i for i, row in enumerate(rows) if row.derivatives is not None]
    slopes = [row.derivatives.slopes for row in rows if row.derivatives is not None]
    n_domains = len(shares_of(data[:1])[0])
    return Evidence(
        shares_of(data),
        np.array([row.value for row in rows]),
        np.array(sloped, dtype=np.int64),
        np.array(slopes).reshape(len(sloped), n_domains),
        max(_variance_of_mean(row) for row in rows) or NO_LIMIT,
    )


def _variance_of_mean(measurement: Measurement) -> float:
    """Variance that a metric has from its examples; zero where they are all alike."""
    n = len(measurement.examples)
    if n == 1:
        return 0.0
    share = measurement.example_weights / measurement.example_weights.sum()
    left = measurement.examples - measurement.value
    return float((share**2 * left**2).sum() * n / (n - 1))


def _fit_smooth(data: Sequence[Observation], names: Sequence[str]) -> dict[str, Posterior]:
    """Fit differentiable metrics, those that were measured at the same points together."""
    evidence = {name: _evidence(data, name) for name in names}
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, one in evidence.items():
        groups.setdefault(tuple(one.sloped.tolist()), []).append(name)
    fitted: dict[str, Posterior] = {}
    for members in groups.values():
        posteriors = fit_all([evidence[name] for name in members], has_floor=True)
        fitted.update(zip(members, posteriors, strict=True))
    return fitted


def _fit_values(
    data: Sequence[Observation], metric: Metric, companion: Posterior | None
) -> MetricModel:
    evidence = _evidence(data, metric.name)
    if companion is None or len(data) < _LEAST_FOR_A_LINE:
        return fit_all([evidence], has_floor=False, kernels=JUMPING_KERNELS)[0]
    line = companion.predict(evidence.shares)[0]
    centred = line - line.mean()
    tilt = float(centred @ evidence.values / max(float(centred @ centred), 1e-30))
    rest = replace(evidence, values=evidence.values - tilt * line)
    fitted = fit_all([rest], has_floor=False, kernels=JUMPING_KERNELS)[0]
    return CompanionModel(companion, tilt, fitted)
