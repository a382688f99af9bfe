"""The main job: experts, search, recommendation, validation, final training, report."""

from __future__ import annotations

from typing import Any

from mixwise.report.page import save_report
from mixwise.search.problem import mixture_of
from mixwise.stages.calibrate import run_calibration
from mixwise.stages.final import run_final
from mixwise.stages.recommend import save_recommendation
from mixwise.stages.search import run_search
from mixwise.stages.validate import run_validation
from mixwise.stages.workspace import Workspace
from mixwise.study import FINAL_FILE, VALIDATION_FILE


def run_study(workspace: Workspace) -> dict[str, Any]:
    """Do whatever of the main job is not done yet.

    The recommendation is written as soon as the search has ended and is calibrated, and again with
    what validation and final training add.

    Returns:
        The content of ``recommendation.json``.
    """
    recipe = workspace.recipe
    made_anew = [VALIDATION_FILE] * bool(recipe.validation.mixtures)
    made_anew += [FINAL_FILE] * recipe.final.train
    workspace.study.remove_damaged(made_anew)
    workspace.train_experts()
    found = run_search(workspace)
    calibrated = run_calibration(workspace, found)
    recommendation = save_recommendation(workspace, calibrated)
    if recipe.validation.mixtures:
        run_validation(workspace)
        calibrated = run_calibration(workspace, found)
        recommendation = save_recommendation(workspace, calibrated)
    if recipe.final.train:
        run_final(workspace, mixture_of(calibrated.result.best))
        recommendation = save_recommendation(workspace, calibrated)
    save_report(workspace.study.folder)
    return recommendation
