"""What tells, before any reference is trained, how far the proxy may be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mixwise.decision.fidelity import Fidelity
from mixwise.decision.trust import Trust
from mixwise.diagnostics.findings import Geometry, Matrix, TrajectoryPoint


@dataclass(frozen=True, slots=True)
class PairError:
    """Predicted error of the linear merge of two domains' halves, by metric."""

    domains: tuple[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Causes:
    """Predicted causes of the linear merge's error at the uniform mixture, each by metric."""

    self_scaling: Mapping[str, float]
    cross_domain: Mapping[str, float]
    averaged_noise: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class InterferenceFacts:
    """What derivatives at the base tell of the domains' interference.

    Args:
        domains: In the order of all rows below.
        n_tokens: Tokens that were differentiated.
        first_order: What each expert does to a metric, to first order.
        relative_effective_curvature: γ, domains by domains.
        noise: ν by metric; None where no references have two seeds.
        uniform: At the uniform mixture.
        pairs: Of each pair of domains.
    """

    domains: tuple[str, ...]
    n_tokens: int
    first_order: Mapping[str, tuple[float, ...]]
    relative_effective_curvature: Matrix
    noise: Mapping[str, float] | None
    uniform: Causes
    pairs: tuple[PairError, ...]


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """How one task vector is kept: precision, relative error of that, and size."""

    domain: str
    precision: str
    relative_error: float
    n_bytes: int


@dataclass(frozen=True, slots=True)
class ScoreError:
    """What merging changes in a metric of the uniform mixture, and the error of precision in it."""

    effect: float
    error: float


@dataclass(frozen=True, slots=True)
class PrecisionFacts:
    """What precision costs.

    Args:
        stored: Each task vector in the store.
        scores: By metric.
        in_objective: Metrics that the objective reads.
    """

    stored: tuple[StoredFacts, ...]
    scores: Mapping[str, ScoreError]
    in_objective: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``diagnose.json``: what tells how far the proxy may be trusted, without calibration.

    Args:
        geometry: Sizes and cosines of the task vectors.
        trajectory: The same along the experts' training.
        interference: Between domains; None of experts by gradients.
        precision: What it costs; None of experts by gradients.
        fidelity: Of the objective; None without a validation.
        trust: Measured, else predicted; None of experts by gradients without a validation.
        left_out: What is None and why, a sentence; empty where experts were trained.
    """

    geometry: Geometry
    trajectory: tuple[TrajectoryPoint, ...]
    interference: InterferenceFacts | None
    precision: PrecisionFacts | None
    fidelity: Fidelity | None
    trust: Trust | None
    left_out: str = ""
