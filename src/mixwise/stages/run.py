"""The main job: experts, search, recommendation, validation, final training, report."""

from __future__ import annotations

from typing import Any

from mixwise.report.page import save_report
from mixwise.stages.final import run_final
from mixwise.stages.recommend import save_recommendation
from mixwise.stages.search import run_search
from mixwise.stages.validate import run_validation
from mixwise.stages.workspace import Workspace


def run_study(workspace: Workspace) -> dict[str, Any]:
    """Do whatever of the main job is not done yet.

    The recommendation is written as soon as the search has ended, and again with what validation
    and final training add.

    Returns:
        The content of ``recommendation.json``.
    """
    recipe = workspace.recipe
    workspace.train_experts()
    result = run_search(workspace)
    recommendation = save_recommendation(workspace, result)
    if recipe.validation.mixtures:
        run_validation(workspace)
        recommendation = save_recommendation(workspace, result)
    if recipe.final.train and result.best.mixture is not None:
        run_final(workspace, result.best.mixture)
        recommendation = save_recommendation(workspace, result)
    save_report(workspace.study.folder)
    return recommendation
