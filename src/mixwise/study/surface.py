"""``surface.json``: the surrogate of every metric, as numbers that anyone can evaluate.

Notation:
    λ: shares.  o: the uniform mixture.  x = λ − o.  x_i: data point i.  u_i = x·x_i.
    α_i ``()``, β_i ``(n_domains,)``: dual coefficients of its value and of its slopes.

Method:
    A metric is a sum of processes, each times a factor. A process is

        y(λ) = mean + Σ_i α_i k(λ, λ_i) + Σ_i β_i·∂k/∂λ_i

    with the kernel of `mixwise.search.surrogates.gaussian_process`; where it has an asymptote c,
    the metric is c + exp(y). Its deviation follows from the points and the kernel alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from mixwise.objective import Aggregation, Direction
from mixwise.search.surrogates.gaussian_process import Posterior
from mixwise.search.surrogates.objective_model import CompanionModel, MetricModel

Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """Amplitudes of the kernel relative to ``variance``, its length, and the noise."""

    curvature: float
    remainder: float
    length: float
    noise: float


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One Gaussian process.

    Args:
        factor: What it is multiplied by.
        kernel: Its kernel.
        variance: σ².
        mean: Of the (warped) values.
        asymptote: c of the warp; None for values as they are.
        sloped: Indices of the points that have slopes.
        values: α, one per point.
        slopes: β of each sloped point, one number per domain.
    """

    factor: float
    kernel: KernelFacts
    variance: float
    mean: float
    asymptote: float | None
    sloped: tuple[int, ...]
    values: Row
    slopes: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class MetricSurface:
    """One metric: how it enters the objective, and its surrogate.

    Args:
        metric: Its name.
        direction: ``min`` or ``max``.
        weight: In the objective; 0 where it is read by none, or by a floor alone.
        base: The base model's value.
        spread: Over the experts; a gain is a difference divided by it.
        floor: The last value that holds its floor; None without one.
        group: Its group in the objective; None for none.
        error: How far mixtures of several domains are from what the surrogate says of them without
            having seen them, root mean square, in the metric's unit; None with fewer than two.
        processes: Whose sum it is.
    """

    metric: str
    direction: Direction
    weight: float
    base: float
    spread: float
    floor: float | None
    group: str | None
    error: float | None
    processes: tuple[ProcessFacts, ...]


@dataclass(frozen=True, slots=True)
class SurfaceFound:
    """``surface.json``.

    Args:
        domains: In the order of all rows below.
        points: Shares of the data points.
        aggregation: How gains become the objective: ``mean`` or ``worst``.
        metrics: Those of the objective first.
        error: As of a metric, of the objective.
        final_seeds: Seeds of the final run.
    """

    domains: tuple[str, ...]
    points: tuple[Row, ...]
    aggregation: Aggregation
    metrics: tuple[MetricSurface, ...]
    error: float | None
    final_seeds: int


def processes_of(model: MetricModel) -> tuple[ProcessFacts, ...]:
    """The processes of a fitted metric.

    Args:
        model: A process, or a line in another metric's and a process of the rest.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(model, Posterior):
        return (_process(model, 1.0),)
    if isinstance(model, CompanionModel):
        return (_process(model.companion, model.tilt), _process(model.rest, 1.0))
    raise TypeError(f"no process is known behind {type(model).__name__}")


def _process(posterior: Posterior, factor: float) -> ProcessFacts:
    n, d = posterior.points.shape
    slopes = posterior.dual[n:].reshape(len(posterior.sloped), d) @ posterior.basis.T
    kernel = posterior.kernel
    return ProcessFacts(
        factor,
        KernelFacts(kernel.curvature, kernel.remainder, kernel.length, kernel.noise),
        posterior.variance,
        posterior.mean,
        None if posterior.asymptote is None else float(posterior.asymptote),
        tuple(posterior.sloped.tolist()),
        tuple(posterior.dual[:n].tolist()),
        tuple(tuple(row) for row in slopes.tolist()),
    )
