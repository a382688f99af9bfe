"""The main job: experts, search, recommendation, validation, final training, report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import fmean

from mixwise.progress import OnStage, Stage, silent_stage
from mixwise.report.page import save_report
from mixwise.stages.calibrate import run_calibration
from mixwise.stages.final import run_final
from mixwise.stages.recommend import decide_on, save_recommendation
from mixwise.stages.search import run_search
from mixwise.stages.validate import run_validation
from mixwise.study.result_files import FILES
from mixwise.study.results import (
    FinalFound,
    Recommendation,
    ValidationFound,
)
from mixwise.study.workbench import Workbench


def run_study(workspace: Workbench, on_stage: OnStage = silent_stage) -> Recommendation:
    """Do whatever of the main job is not done yet.

    The recommendation is written as soon as the search has ended and is calibrated, and again with
    what validation and final training add.

    Args:
        workspace: The study.
        on_stage: Told when a stage begins, and when it ends with what came out.
    """
    recipe, stages = workspace.recipe, _Stages(workspace, on_stage)
    made_anew = [FILES[ValidationFound]] * bool(recipe.validation.mixtures)
    made_anew += [FILES[FinalFound]] * recipe.final.train
    workspace.study.remove_damaged(made_anew)
    with stages.enter("experts") as outcome:
        workspace.runs.train_experts()
        outcome.append(f"{len(recipe.domains)} experts")
    with stages.enter("search") as outcome:
        found = run_search(workspace)
        best = workspace.objective.value(found.best.values, workspace.scale)
        outcome.append(f"{len(found.scored)} candidates scored, best {best:.3f} by the proxy")
    with stages.enter("calibration") as outcome:
        calibrated = run_calibration(workspace, found)
        decision = decide_on(workspace, calibrated)
        recommendation = save_recommendation(workspace, calibrated, decision)
        outcome.append(f"recommended {_shown(recommendation)}")
    if recipe.validation.mixtures:
        with stages.enter("validation") as outcome:
            validation = run_validation(workspace)
            calibrated = run_calibration(workspace, found)
            decision = decide_on(workspace, calibrated)
            recommendation = save_recommendation(workspace, calibrated, decision)
            outcome.append(f"{len(validation.mixtures)} references compared with the proxy")
            outcome.append(f"recommended {_shown(recommendation)}")
    if recipe.final.train:
        with stages.enter("final training") as outcome:
            final = run_final(workspace, recommendation.mixture)
            recommendation = save_recommendation(workspace, calibrated, decision)
            reached = fmean(run.objective for run in final.rows[0].runs)
            won = f", the recommendation {final.outcome.word}" * bool(final.outcome.margins)
            outcome.append(f"reached {reached:.3f}{won}")
    with stages.enter("report") as outcome:
        outcome.append(str(save_report(workspace.study.folder)))
    return recommendation


class _Stages:
    """The stages of a recipe, in their order.

    Args:
        workspace: The study, whose tracking tools are told too.
        on_stage: Told when a stage begins and ends.
    """

    def __init__(self, workspace: Workbench, on_stage: OnStage) -> None:
        recipe, self._tracker = workspace.recipe, workspace.tracker
        self._names = ["experts", "search", "calibration"]
        self._names += ["validation"] * bool(recipe.validation.mixtures)
        self._names += ["final training"] * recipe.final.train
        self._names += ["report"]
        self._on_stage = on_stage

    @contextmanager
    def enter(self, name: str) -> Iterator[list[str]]:
        """Tell that a stage begins; at its end, what the block has put in the list."""
        number, outcome = self._names.index(name) + 1, list[str]()
        self._tracker.stage(name, None)
        self._on_stage(Stage(name, number, len(self._names)))
        yield outcome
        self._on_stage(Stage(name, number, len(self._names), ", ".join(outcome)))
        self._tracker.stage(name, ", ".join(outcome))


def _shown(recommendation: Recommendation) -> str:
    shares = recommendation.mixture.as_dict().items()
    return " ".join(f"{name}={share:.3g}" for name, share in shares if share)
