"""Search problems with known answers whose metrics look like merged losses.

Notation:
    λ: shares, shape ``(n_domains,)``.  e: example of a metric.  d_e: its difficulty.
    b_e: what each domain does for it, shape ``(n_domains,)``.  H: curvature of a quadratic basin.

Method:
    Log-linear metrics: loss_e = f_e + d_e exp(−b_eᵀλ), a saturating gain from helpful domains.
    Interfering metrics: the same plus d_e/4 exp(h_eᵀλ), a growing loss from domains that hurt.
    Quadratic metrics: loss_e = f_e + d_e (1 − b_eᵀλ + ½ λᵀHλ), a basin with curvature of low rank.
    Examples share their difficulty over all mixtures, so that mixtures are compared in pairs, and
    differ a little in b_e. Slopes are exact. Kinds place the optimum: inside, on a face (domains
    that help nothing), at a corner (one that helps with everything), in a flat valley (domains
    that are copies of each other), or under noise (each answer is off by 2 % of the spread).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from mixwise.kinds import LOSS
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.scorer import VALUES, Request
from mixwise.search.problem import SearchProblem
from mixwise.search.space.simplex import climb, extreme_points, sample
from mixwise.search.surrogates.objective_model import smooth_objective

Array = npt.NDArray[np.float64]
Kind = Literal["interior", "face", "corner", "flat", "noisy"]
KINDS: tuple[Kind, ...] = ("interior", "face", "corner", "flat", "noisy")
_NOISE = 0.02  # of a metric's spread over the corners


@dataclass(frozen=True, slots=True, eq=False)
class LossSurface:
    """One metric: its examples' losses as functions of the mixture.

    Args:
        floor: f_e, shape ``(n_examples,)``, in nats.
        difficulty: d_e, shape ``(n_examples,)``, in nats.
        help: b_e, shape ``(n_examples, n_domains)``.
        curvature: H of a quadratic metric, shape ``(n_domains, n_domains)``, or None.
        harm: h_e of an interfering metric, shape ``(n_examples, n_domains)``, or None.
    """

    floor: Array
    difficulty: Array
    help: Array
    curvature: Array | None = None
    harm: Array | None = None

    def examples(self, shares: Array) -> Array:
        """Loss of each example, shape ``(n_examples,)``, in nats."""
        reach = self.help @ shares
        if self.harm is not None:
            both = np.exp(-reach) + np.exp(self.harm @ shares) / 4
            return np.asarray(self.floor + self.difficulty * both)
        if self.curvature is None:
            return np.asarray(self.floor + self.difficulty * np.exp(-reach))
        basin = 1 - reach + shares @ self.curvature @ shares / 2
        return np.asarray(self.floor + self.difficulty * basin)

    def slopes(self, shares: Array) -> Array:
        """Derivative of each example in each share, shape ``(n_examples, n_domains)``."""
        if self.curvature is None:
            fall = self.difficulty * np.exp(-(self.help @ shares))
            slopes = -fall[:, None] * self.help
            if self.harm is not None:
                rise = self.difficulty * np.exp(self.harm @ shares) / 4
                slopes = slopes + rise[:, None] * self.harm
            return np.asarray(slopes)
        return np.asarray(self.difficulty[:, None] * (self.curvature @ shares - self.help))


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticScorer:
    """Answers from loss surfaces; what it has measured before costs nothing again.

    Args:
        domains: Names.
        metrics: One per surface.
        surfaces: The truth.
        noise: Standard deviation of each metric's answers, shape ``(n_metrics,)``, in nats.
        seed: Decides the noise.
        asked: What was answered, in order.
    """

    domains: tuple[str, ...]
    metrics: tuple[Metric, ...]
    surfaces: tuple[LossSurface, ...]
    noise: Array
    seed: int
    asked: list[Observation] = field(default_factory=list)

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Answer with values, and slopes where asked; one token per example."""
        answers = tuple(self._observe(mixture, request) for mixture in mixtures)
        self.asked.extend(answers)
        return answers

    def truth(self, points: Array) -> Array:
        """Metric values without noise, ``(n, n_domains)`` → ``(n, n_metrics)``."""
        return np.array([[s.examples(p).mean() for s in self.surfaces] for p in points])

    def _observe(self, mixture: Mixture, request: Request) -> Observation:
        key = [self.seed, *(round(share * 1e9) for share in mixture.shares)]
        rng = np.random.default_rng(key)
        measurements = tuple(
            self._measure(metric, surface, sd, mixture.array, request, rng)
            for metric, surface, sd in zip(self.metrics, self.surfaces, self.noise, strict=True)
        )
        n_tokens = sum(len(m.examples) for m in measurements) * (3 if request.order else 1)
        return Observation(
            mixture, "proxy", "synthetic", (), measurements, 0.0, 0, n_tokens, str(mixture)
        )

    def _measure(
        self,
        metric: Metric,
        surface: LossSurface,
        sd: float,
        shares: Array,
        request: Request,
        rng: np.random.Generator,
    ) -> Measurement:
        values = surface.examples(shares) + sd * rng.normal()
        part = request.part.examples(len(values))
        derivatives = None
        jitter = sd * rng.normal(size=len(shares))
        if request.order and metric.is_differentiable:
            slopes = surface.slopes(shares)[part] + jitter
            derivatives = Derivatives(
                slopes.mean(axis=0), example_slopes=slopes if request.per_example else None
            )
        return Measurement(metric.name, values[part], np.ones(len(part)), derivatives)


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """A problem with its truth."""

    name: str
    scorer: SyntheticScorer
    space: MixtureSpace
    objective: Objective
    scale: Scale

    def truth(self, points: Array) -> Array:
        """The objective without noise, ``(n, n_domains)`` → ``(n,)``."""
        return self.objective.aggregate(self.scorer.truth(points), self.scale)


def instance(kind: Kind, n_domains: int, seed: int, n_examples: int = 64) -> Instance:
    """Draw a problem.

    Args:
        kind: Where its optimum lies.
        n_domains: N.
        seed: Decides everything.
        n_examples: Of each metric.
    """
    rng = np.random.default_rng([seed, n_domains, KINDS.index(kind)])
    domains = tuple(f"d{i}" for i in range(n_domains))
    n_metrics = min(n_domains, 8)
    helps = _helps(kind, n_domains, n_metrics, rng)
    surfaces = tuple(_surface(row, m % 3, n_examples, rng) for m, row in enumerate(helps))
    metrics = tuple(Metric.of(f"set{m}", LOSS) for m in range(n_metrics))
    quiet = SyntheticScorer(domains, metrics, surfaces, np.zeros(n_metrics), seed)
    corners = quiet.truth(np.eye(n_domains))
    base = quiet.truth(np.zeros((1, n_domains)))[0]
    names = [metric.name for metric in metrics]
    spread = corners.std(axis=0, ddof=1)
    noise = spread * (_NOISE if kind == "noisy" else 0.0)
    scale = Scale(
        dict(zip(names, base.tolist(), strict=True)), dict(zip(names, spread.tolist(), strict=True))
    )
    return Instance(
        f"{kind} N={n_domains} seed={seed}",
        SyntheticScorer(domains, metrics, surfaces, noise, seed),
        MixtureSpace.whole(domains),
        Objective(tuple(Term(metric, 1.0) for metric in metrics)),
        scale,
    )


def _helps(kind: Kind, n_domains: int, n_metrics: int, rng: np.random.Generator) -> Array:
    """What each domain does for each metric, shape ``(n_metrics, n_domains)``."""
    own = np.array([[i % n_metrics == m for i in range(n_domains)] for m in range(n_metrics)])
    helps = np.where(own, rng.uniform(1.5, 3.0, own.shape), rng.normal(0.2, 0.3, own.shape))
    if kind == "face":
        helps[:, rng.permutation(n_domains)[: n_domains // 2]] -= 1.5
    if kind == "corner":
        helps[:, int(rng.integers(n_domains))] += 4.0
    if kind == "flat":
        helps = helps[:, np.arange(n_domains) // 2]
    return np.asarray(helps)


def _surface(row: Array, form: int, n_examples: int, rng: np.random.Generator) -> LossSurface:
    n = len(row)
    difficulty = rng.lognormal(0.0, 0.8, n_examples)
    floor = rng.lognormal(0.0, 0.5, n_examples)
    helps = row + rng.normal(0, 0.3, (n_examples, n))
    if form == 0:
        return LossSurface(floor, difficulty, helps)
    if form == 1:
        harm = rng.normal(0, 1.0, n) * (row < row.mean()) + rng.normal(0, 0.2, helps.shape)
        return LossSurface(floor, difficulty, helps, harm=harm)
    root = rng.normal(size=(3, n)) / np.sqrt(3) + np.sqrt(np.clip(row, 0, None))
    curvature = root.T @ root / 3 + np.diag(np.clip(row, 0, None))
    return LossSurface(floor, difficulty, helps * 0.8, curvature=curvature)


def extremes(made: Instance) -> tuple[float, float]:
    """Best value, by climbing the truth from many starts, and worst of a dense sample."""
    problem = SearchProblem(made.scorer, made.space, made.objective, made.scale, None, 0)

    def ascent(points: Array) -> tuple[Array, Array]:
        slopes = np.array(
            [[s.slopes(p).mean(axis=0) for s in made.scorer.surfaces] for p in points]
        )
        return smooth_objective(problem, made.scorer.truth(points), slopes)

    n = len(made.space.domains)
    points = np.concatenate(
        [
            extreme_points(made.space, 256, seed=0),
            np.full((1, n), 1 / n),
            sample(made.space, 1000, seed=0),
        ]
    )
    values = made.truth(points)
    starts = points[np.argsort(-values)[:8]]
    tops = climb(ascent, made.space, starts)
    return float(max(values.max(), made.truth(tops).max())), float(values.min())
