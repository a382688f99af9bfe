"""What the stages of a study find: one value per result file.

A stage returns its value and writes it; the command line, the report and Python read the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from mixwise.decision.binding import Binding
from mixwise.decision.bootstrap import Standing
from mixwise.decision.drift import BestAt
from mixwise.decision.fidelity import Fidelity
from mixwise.decision.front import Front
from mixwise.decision.left_prior import PriorFacts
from mixwise.decision.outcome import Outcome
from mixwise.decision.rounding import Rounding
from mixwise.decision.score import OBJECTIVE, Score, Shares
from mixwise.decision.trust import Trust
from mixwise.diagnostics.findings import Geometry, Matrix, TrajectoryPoint
from mixwise.extrapolation import ContinuationError
from mixwise.limit import Limit
from mixwise.objective import Direction, Objective, Scale
from mixwise.recipe.sections import ExpertMethod
from mixwise.share_units import UNIT_WORDS, ShareUnit
from mixwise.tasks import Unit

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class SeedScore:
    """What one trained model scored.

    Args:
        seed: Of its training.
        objective: J, larger is better.
        metrics: Value by metric name.
    """

    seed: int
    objective: float
    metrics: Mapping[str, float]

    def value(self, name: str) -> float:
        """A metric by name, or the objective."""
        return self.objective if name == OBJECTIVE else self.metrics[name]


@dataclass(frozen=True, slots=True)
class BothAnswers:
    """One mixture by both answers.

    Args:
        name: What it is called; empty for a mixture without a name.
        proxy: By the merged model.
        runs: By trained models, one per seed.
        expected_gain: Regret that training it was expected to save; None where it had no choice.
    """

    name: str
    proxy: Score
    runs: tuple[SeedScore, ...]
    expected_gain: float | None = None

    def reached(self, name: str = OBJECTIVE) -> float | None:
        """Mean over seeds of a metric or the objective; None when it was not trained."""
        return fmean(run.value(name) for run in self.runs) if self.runs else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mixture that the proxy scored.

    Args:
        name: Of a baseline; empty for any other.
        score: By the proxy.
        within_bounds: Whether it might be recommended.
    """

    name: str
    score: Score
    within_bounds: bool


@dataclass(frozen=True, slots=True)
class Profiles:
    """Metrics along the line on which one domain's share goes from 0 to 1.

    Args:
        shares: Grid of that share, in [0, 1].
        lines: Values on the grid, by domain and then by metric.
    """

    shares: tuple[float, ...]
    lines: Mapping[str, Mapping[str, tuple[float, ...]]]

    def __post_init__(self) -> None:
        values = [line for of_domain in self.lines.values() for line in of_domain.values()]
        if any(len(line) != len(self.shares) for line in values):
            raise ValueError("a line has a value for each share")


@dataclass(frozen=True, slots=True)
class ObjectiveTerm:
    """How one metric becomes a gain: sign · (value − base) / spread, with a weight."""

    metric: str
    direction: Direction
    weight: float
    base: float
    spread: float


@dataclass(frozen=True, slots=True)
class ObjectiveFacts:
    """How metrics become one number."""

    aggregation: str
    terms: tuple[ObjectiveTerm, ...]

    @classmethod
    def of(cls, objective: Objective, scale: Scale) -> ObjectiveFacts:
        """Put an objective and the values it is measured against side by side."""
        terms = (
            ObjectiveTerm(
                term.metric.name,
                term.metric.direction,
                term.weight,
                scale.base[term.metric.name],
                scale.spread[term.metric.name],
            )
            for term in objective.terms
        )
        return cls(objective.aggregation, tuple(terms))

    def heaviest(self, most: int) -> tuple[ObjectiveTerm, ...]:
        """The terms that weigh most, at most so many; among equals as the recipe has them."""
        return tuple(sorted(self.terms, key=lambda term: -term.weight)[:most])


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """How to read a metric.

    Args:
        direction: ``min`` or ``max``.
        unit: Of its values.
        in_objective: Whether the objective reads it.
    """

    direction: Direction
    unit: str
    in_objective: bool


@dataclass(frozen=True, slots=True)
class SearchFound:
    """``search.json``.

    Args:
        method: Search method that ran.
        source: Where it was published.
        rule: Merge rule of the proxy.
        n_scored: Mixtures that the search scored.
        bounds: Smallest and largest share of each domain, token limits included.
        objective: What was maximised.
        metrics: All that is measured, by name.
        surrogate: Objective that the search's own surrogate gives for its best; None without one.
        best: The search's own answer.
        base: The base model.
        candidates: All that was scored and the baselines, best first.
        profiles: Metrics along the simplex.
        heldout: Hash of the held-out tokens of each text set.
        gap: What slopes promise beyond the search's answer at most, in units of the objective; None
            where a metric has none.
        gap_is_bound: Whether no mixture can be better by more than the gap: predictions are convex.
        limits: Of sums of shares.
        grid: Step of the shares of all that is trained or recommended; None for none.
    """

    method: str
    source: str
    rule: str
    n_scored: int
    bounds: Mapping[str, Range]
    objective: ObjectiveFacts
    metrics: Mapping[str, MetricFacts]
    surrogate: float | None
    best: Score
    base: Score
    candidates: tuple[Candidate, ...]
    profiles: Profiles
    heldout: Mapping[str, str]
    gap: float | None = None
    gap_is_bound: bool = False
    limits: tuple[Limit, ...] = ()
    grid: float | None = None


@dataclass(frozen=True, slots=True)
class CalibrationFound:
    """``calibration.json``: mixtures that were trained to learn what the proxy misses.

    Args:
        seeds: Of each.
        rule: Merge rule of the proxy.
        mixtures: In the order of their training.
        noise: Standard deviation of one run between seeds, as expected; None without references.
    """

    seeds: tuple[int, ...]
    rule: str
    mixtures: tuple[BothAnswers, ...]
    noise: float | None


@dataclass(frozen=True, slots=True)
class ValidationFound:
    """``validation.json``: reference mixtures by both answers.

    Args:
        seeds: Of each reference.
        rule: Merge rule of the proxy.
        mixtures: The references.
        fidelity: Of the proxy, by metric; the objective under ``objective``, first.
    """

    seeds: tuple[int, ...]
    rule: str
    mixtures: tuple[BothAnswers, ...]
    fidelity: Mapping[str, Fidelity]


@dataclass(frozen=True, slots=True)
class FinalFound:
    """``final.json``: the recommendation (first) and the baselines, trained for real.

    Args:
        seeds: Of the runs.
        rows: Each mixture by both answers.
        outcome: Whether the first won.
        start: What the runs began at; predictions are of runs from the base.
    """

    seeds: tuple[int, ...]
    rows: tuple[BothAnswers, ...]
    outcome: Outcome
    start: Literal["base", "merged"] = "base"

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("the recommendation is the first row")


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


@dataclass(frozen=True, slots=True)
class ProxyForecast:
    """The recommended mixture by the proxy.

    Args:
        objective: J.
        interval_95: Over resampled evaluation examples.
        covers: What the interval covers, and what not.
        metrics: Value by metric name.
    """

    objective: float
    interval_95: Range
    covers: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ReferenceForecast:
    """What a model trained on the recommended mixture should reach.

    Args:
        objective: Expected J.
        interval_95: Where the mean of the final runs should land.
        covers: What the interval covers.
        n_references: Trained mixtures that it is learned from; 0 where it is only predicted.
    """

    objective: float
    interval_95: Range
    covers: str
    n_references: int


@dataclass(frozen=True, slots=True)
class Simplicity:
    """Why the recommended mixture is not, or is, the simplest one.

    Args:
        preferred: What is simplest: ``uniform`` or ``available``.
        anchor: The simplest mixture within the bounds.
        behind: Expected score of the highest less that of the anchor, ≥ 0.
        deviation: Standard deviation of that difference.
        holds_anchor: Whether the two cannot be told apart; then the anchor is recommended.
        highest: The mixture with the largest corrected score, by the proxy.
    """

    preferred: str
    anchor: Shares
    behind: float
    deviation: float
    holds_anchor: bool
    highest: Score


@dataclass(frozen=True, slots=True)
class Rated:
    """A scored mixture beside the recommended one.

    Args:
        name: Of a baseline; empty for any other.
        score: By the proxy.
        expected: Objective that training on it should reach; None without a reference.
        standing: ``recommended``, ``equal``, ``ahead`` or ``behind``.
    """

    name: str
    score: Score
    expected: float | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class RunCounts:
    """Training runs, or their tokens, by what they were for."""

    experts: int
    calibration: int
    validation: int
    final: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What the study spent, and what a search by training would have spent.

    A run that two stages share, as calibration and final training do the uniform mixture, counts in
    both. What calibration trains is a part of the search.

    Args:
        runs: Training runs.
        trained_tokens: Their tokens.
        evaluated_tokens: Tokens of all evaluations, in forward passes.
        candidates_scored: Mixtures that the search scored.
        search_runs_if_trained: Runs of a search that trains every candidate.
        price: Tokens of experts and calibration, over those of the final run.
        search_tokens_spent: Tokens of experts and calibration.
        search_tokens_if_trained: Tokens of that search.
        search_tokens_avoided: Their difference.
    """

    runs: RunCounts
    trained_tokens: RunCounts
    evaluated_tokens: int
    candidates_scored: int
    search_runs_if_trained: int
    price: float
    search_tokens_spent: int
    search_tokens_if_trained: int
    search_tokens_avoided: int


@dataclass(frozen=True, slots=True)
class HorizonFacts:
    """How far experts and final model are trained, and how the answer moves between.

    Args:
        expert_tokens: Tokens of one expert, where it is merged.
        run_tokens: Tokens of the final run.
        points: Tokens at which experts are merged, rising.
        answers: What the proxy is put together from: ``merged``, ``predictions``.
        continued: Metrics of the objective that are continued to the final horizon.
        left: Those that are left as they are at the experts' end, though the final run is longer.
        coefficients: How many times as long the experts' steps from the base are taken, by metric
            that is continued by longer steps too; of experts by gradients, by every metric.
        error: What continuing may miss of the objective.
        path: The best mixture along the experts' runs; empty where nothing is continued.
        unit: What is counted where tokens are named: examples, of a task with labels.
        expert_method: Whether experts were trained, or the base was moved along gradients.
    """

    expert_tokens: int
    run_tokens: int
    points: tuple[int, ...]
    answers: tuple[str, ...]
    continued: tuple[str, ...]
    left: tuple[str, ...]
    coefficients: Mapping[str, float]
    error: ContinuationError
    path: tuple[BestAt, ...]
    unit: Unit = "tokens"
    expert_method: ExpertMethod = "training"


@dataclass(frozen=True, slots=True)
class FinalRun:
    """The run that the recommendation is for: sequences, their length, tokens that there are."""

    n_sequences: int
    sequence_length: int
    available_tokens: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FloorFacts:
    """A floor of the objective, and what the recommended mixture is expected to do.

    Args:
        metric: The metric, whose value must not be worse than ``limit``.
        direction: ``min`` or ``max``.
        limit: The last value that holds it.
        expected: The metric of the recommended mixture, by the proxy.
        holds: Whether that is no worse.
    """

    metric: str
    direction: str
    limit: float
    expected: float
    holds: bool


@dataclass(frozen=True, slots=True)
class Provenance:
    """Hashes, versions and seeds of all that the recommendation was made from."""

    mixwise: str
    recipe: str
    recipe_alone: str
    base: str
    experts: Mapping[str, str]
    data: Mapping[str, str]
    evaluation: str
    rule: str
    method: str
    training_seed: int
    search_seed: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """``recommendation.json``.

    Args:
        mixture: What to train on.
        answer: The answer in one sentence.
        proxy: The mixture by the proxy.
        reference: What training on it should reach.
        simplicity: Why it is not, or is, the simplest mixture; None where the largest score wins.
        near_optimal: Scored mixtures that cannot be told from it.
        near_optimal_shares: Of each domain, smallest and largest share of predicted mixtures that
            cannot be told from it.
        baselines: All baselines.
        fidelity: Of the proxy's objective, over the validation's references; None without one.
        fidelity_calibrated: The same of the calibrated score.
        trust: How far the recommendation may be trusted.
        horizons: At what the proxy was measured, and whether its answer still moves.
        outcome: What real training showed; None before it.
        cost: Spent and avoided.
        run: The run that it is for.
        provenance: What it was made from.
        floors: Floors of the objective.
        shares_by: What the shares of `mixture`, and of every mixture of the study, count.
        by_other_units: The mixture by the other units; empty where all tokens are learned.
        worse_than_base: Metrics of the objective that the proxy expects to get worse by the
            recommended mixture: the base's value, and what is expected.
        front: Pareto front of the groups that the recipe names; None where it names none.
        binding: Limits that it lies on, and what loosening each would gain.
        rounding: What shares in whole steps cost; None where nothing had to be rounded.
        prior: What staying close to a prior means here; None without one.
        objective: What every J here is made of; None in a file of an older version.
    """

    mixture: Shares
    answer: str
    proxy: ProxyForecast
    reference: ReferenceForecast
    simplicity: Simplicity | None
    near_optimal: tuple[Rated, ...]
    near_optimal_shares: Mapping[str, Range]
    baselines: tuple[Rated, ...]
    fidelity: Fidelity | None
    fidelity_calibrated: Fidelity | None
    trust: Trust
    horizons: HorizonFacts
    outcome: Outcome | None
    cost: Cost
    run: FinalRun
    provenance: Provenance
    floors: tuple[FloorFacts, ...] = ()
    shares_by: ShareUnit = "tokens"
    by_other_units: Mapping[ShareUnit, Shares] = field(default_factory=dict)
    worse_than_base: Mapping[str, Range] = field(default_factory=dict)
    front: Front | None = None
    binding: tuple[Binding, ...] = ()
    rounding: Rounding | None = None
    prior: PriorFacts | None = None
    objective: ObjectiveFacts | None = None

    @property
    def by_tokens(self) -> Shares:
        """The mixture by all tokens, as a run reads it."""
        return self.by_other_units.get("tokens", self.mixture)

    @property
    def unit_words(self) -> str:
        """What its shares count, in words that tell which tokens are meant where there are two."""
        return UNIT_WORDS[self.shares_by] if self.by_other_units else self.horizons.unit

    @property
    def score(self) -> Score:
        """The recommended mixture by the proxy."""
        return Score(self.mixture, self.proxy.objective, self.proxy.metrics)
