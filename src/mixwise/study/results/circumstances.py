"""What a recommendation was made from, what it is for, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mixwise.decision.drift import BestAt
from mixwise.extrapolation import ContinuationError
from mixwise.recipe.sections import ExpertMethod
from mixwise.tasks import Unit


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
