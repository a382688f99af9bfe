"""The parts of a study's proxy: merges and predictions at points of the experts' runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mixwise.scorer import Scorer
from mixwise.scoring.gradient_steps import STEP_LENGTHS
from mixwise.scoring.predictions import PredictionScorer
from mixwise.scoring.weighing import LONGER_STEPS, Means, ProxyPart

if TYPE_CHECKING:
    from mixwise.study.workbench import Workbench


def make_parts(bench: Workbench, slope_sets: tuple[str, ...]) -> list[ProxyPart]:
    """Plain parts of each kind of answer at points that rise, then those of longer steps.

    Experts by gradients have predictions alone, a part for each length of their steps.

    Args:
        bench: The study; its experts must be trained already.
        slope_sets: Evaluation sets whose slopes merges take when slopes are wanted.
    """
    horizons, answers = bench.inputs.horizons, bench.answers
    if horizons.expert_method == "gradients":
        n = horizons.expert_steps
        return [
            ProxyPart("predictions", n, n, make_predictions(bench, n, c), c) for c in STEP_LENGTHS
        ]
    plain = [
        ProxyPart(
            means, steps, horizons.effective(steps), _make_part(bench, means, steps, slope_sets)
        )
        for means in answers.means
        for steps in (answers.points if means in answers.averaged else answers.points[-1:])
    ]
    return [*plain, *_longer_steps(bench)]


def _longer_steps(bench: Workbench) -> list[ProxyPart]:
    """Predictions of what the objective reads, by experts with longer steps."""
    horizons, answers = bench.inputs.horizons, bench.answers
    last = answers.points[-1]
    is_short = last < bench.recipe.n_steps and len(answers.points) > 1
    if not is_short or "predictions" not in answers.averaged:
        return []
    length = horizons.effective(last)
    names = tuple(dict.fromkeys(metric.set_name for metric in bench.objective.metrics))
    return [
        ProxyPart("predictions", last, length, make_predictions(bench, last, c, names), c)
        for c in LONGER_STEPS
    ]


def _make_part(bench: Workbench, means: Means, steps: int, slope_sets: tuple[str, ...]) -> Scorer:
    if means == "predictions":
        return make_predictions(bench, steps)
    is_last = steps == bench.answers.points[-1]
    return bench.make_merged(bench.merges if is_last else bench.merges_at(steps), slope_sets)


def make_predictions(
    bench: Workbench, steps: int, coefficient: float = 1.0, names: tuple[str, ...] | None = None
) -> PredictionScorer:
    """Predictions at a point of the experts' runs; progress tells which.

    Args:
        bench: The study; its experts must be trained already.
        steps: The point.
        coefficient: What the experts' step from the base is multiplied by.
        names: Of the sets that are read; None for all.
    """
    note = f"after {steps} steps" + f", {coefficient:g} times as long" * (coefficient != 1)
    evaluations = replace(
        bench.evaluations,
        on_progress=lambda report: bench.on_progress(replace(report, note=note)),
    )
    return PredictionScorer(
        bench.experts_at(steps),
        evaluations,
        bench.study.predictions_folder,
        coefficient=coefficient,
        names=names,
    )
