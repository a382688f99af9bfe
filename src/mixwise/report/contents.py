"""What the page shows, as values: one study, read from its files.

Notation:
    OBJECTIVE: name under which the objective stands beside the metrics, ``set/measure``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mixwise.decision.fidelity import Fidelity
from mixwise.decision.trust import Verdict as Trust

OBJECTIVE = "objective"


@dataclass(frozen=True, slots=True)
class Score:
    """What one model scored.

    Args:
        mixture: Share by domain; empty for the base.
        objective: J, larger is better.
        metrics: Value by metric name.
    """

    mixture: Mapping[str, float]
    objective: float
    metrics: Mapping[str, float]

    def value(self, name: str) -> float:
        """A metric by name, or the objective."""
        return self.objective if name == OBJECTIVE else self.metrics[name]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scored candidate of the search, or a baseline (then with its name).

    Args:
        name: Of the baseline; empty for any other.
        score: By the proxy.
        within_bounds: Whether it might be recommended.
        standing: Beside the recommended one: ``recommended``, ``equal``, ``ahead`` or ``behind``;
            empty where it is not known.
    """

    name: str
    score: Score
    within_bounds: bool
    standing: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """One mixture by both answers.

    Args:
        name: What it is called; empty for a reference mixture of the validation.
        proxy: By the merged model.
        runs: By trained models, one per seed; empty when it was not trained.
        expected: Objective of a trained model, as calibration predicts it; None without one.
        standing: Of its prediction beside the recommended one, as a candidate's; may be empty.
    """

    name: str
    proxy: Score
    runs: tuple[Score, ...]
    expected: float | None = None
    standing: str = ""

    def reached(self, name: str) -> float | None:
        """Mean over seeds of a metric or the objective; None when it was not trained."""
        return fmean(run.value(name) for run in self.runs) if self.runs else None


@dataclass(frozen=True, slots=True)
class Margin:
    """How far the recommendation is ahead of a baseline (negative: behind).

    Args:
        baseline: Its name.
        margin: Difference of the mean objectives.
        noise_widths: The same in noise widths; None where the noise is not known.
        standing: Of the baseline: ``behind``, ``equal``, ``ahead`` or ``unknown``.
    """

    baseline: str
    margin: float
    noise_widths: float | None
    standing: str = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of the final training: ``won``, ``tied``, ``lost`` or ``unknown``."""

    outcome: str
    noise_width: float | None
    margins: tuple[Margin, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the proxy says of the recommended mixture.

    Args:
        score: By the proxy.
        interval: 95 % interval of the predicted objective over evaluation examples.
        reference: Expected objective of a trained model; None where none was trained.
        reference_interval: Where a trained model should land, 95 %; None likewise.
        n_references: Trained mixtures behind both; 0 where it is not known.
        near_optimal_shares: By domain, least and largest share of the predicted mixtures that
            cannot be told from the best; empty where no model was trained.
    """

    score: Score
    interval: tuple[float, float] | None
    reference: float | None
    reference_interval: tuple[float, float] | None
    n_references: int
    near_optimal_shares: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Profiles:
    """Metrics along the line on which one domain's share goes from 0 to 1.

    Args:
        shares: Grid of that share, in [0, 1].
        lines: Values on the grid, by domain and then by metric.
    """

    shares: tuple[float, ...]
    lines: Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True, slots=True)
class Search:
    """What the search found, candidates best first."""

    method: str
    source: str
    rule: str
    base: Score
    candidates: tuple[Candidate, ...]
    profiles: Profiles


@dataclass(frozen=True, slots=True)
class Calibration:
    """Mixtures that were trained to learn what the proxy misses.

    Args:
        mixtures: By both answers, in the order of their training.
        gains: Regret that each was expected to save; None for the first, which needs no reason.
        noise: Standard deviation of one run between seeds, as believed.
    """

    mixtures: tuple[Comparison, ...]
    gains: tuple[float | None, ...]
    noise: float | None


@dataclass(frozen=True, slots=True)
class Validation:
    """Reference mixtures by both answers, and fidelity by metric (the objective first).

    Args:
        seeds: Of the runs.
        mixtures: The references.
        fidelity: Of the proxy, by metric.
        calibrated: Of the calibrated objective; None in a study of an older version.
    """

    seeds: tuple[int, ...]
    mixtures: tuple[Comparison, ...]
    fidelity: Mapping[str, Fidelity]
    calibrated: Fidelity | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the task vectors tell.

    Args:
        verdict: On the proxy without calibration.
        relative_sizes: ‖δ‖ / ‖θ₀‖ by domain.
        cosines: Between task vectors, row by row.
    """

    verdict: Trust
    relative_sizes: Mapping[str, float]
    cosines: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Final:
    """The trained recommendation (first) and baselines."""

    seeds: tuple[int, ...]
    rows: tuple[Comparison, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Spent:
    """What one kind of work took.

    Args:
        kind: The kind, in words.
        n: Runs or models.
        tokens_trained: Training tokens.
        tokens_evaluated: Evaluated tokens; None where they are counted with another kind.
        seconds: Wall time; runs side by side each count in full.
    """

    kind: str
    n: int
    tokens_trained: int
    tokens_evaluated: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """How to read a metric.

    Args:
        direction: ``min`` or ``max``.
        unit: Unit of its values; empty when unknown.
        in_objective: Whether the objective reads it.
    """

    direction: str
    unit: str
    in_objective: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """What a command did otherwise than asked: rebuilt, switched off or left out.

    Args:
        text: What, and what to do about it.
        command: Which command said so; empty where it is not known.
        time: When; empty where it is not known.
    """

    text: str
    command: str
    time: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that the page shows; a stage that is missing is None.

    Args:
        domains: In the study's order.
        search: Candidates and profiles.
        prediction: Of the recommended mixture.
        baselines: By the proxy, each with the trained runs where there are some.
        calibration: What was trained to correct the proxy.
        validation: Fidelity of the proxy.
        trust: How far the recommendation may be trusted; None where nothing tells.
        diagnosis: Task vectors, and what they predict.
        final: What was trained in the end.
        metrics: How to read each metric.
        cost: Tokens and runs, as in ``recommendation.json``.
        spent: Time and tokens by kind of work.
        provenance: Hashes, versions and seeds, by name.
        recipe: The recipe's text.
        notices: What was not as asked, oldest first.
    """

    domains: tuple[str, ...]
    search: Search | None
    prediction: Prediction | None
    baselines: tuple[Comparison, ...]
    calibration: Calibration | None
    validation: Validation | None
    trust: Trust | None
    diagnosis: Diagnosis | None
    final: Final | None
    metrics: Mapping[str, MetricFacts]
    cost: Mapping[str, Any]
    spent: tuple[Spent, ...]
    provenance: Mapping[str, str]
    recipe: str
    notices: tuple[Notice, ...] = ()

    @property
    def recommended(self) -> Comparison | None:
        """The recommended mixture by both answers."""
        if self.prediction is None:
            return None
        runs = self.final.rows[0].runs if self.final else ()
        found = self.prediction
        return Comparison("recommended", found.score, runs, found.reference, "recommended")
