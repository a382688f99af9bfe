"""Some experts of a study, by one of several processes that each train others.

Method:
    The study is held together with the other processes, alone by nobody, and each run by its own
    lock. Nothing is written but the experts' folders: the ledger is read, and neither notices,
    leftovers nor what tracking tools were told are touched, since others may be at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mixwise.errors import RecipeError, nearest, printable
from mixwise.files import MEMO_FILE, HashMemo
from mixwise.merging.rule_table import find_rule
from mixwise.progress import OnProgress, OnStage, Stage, silent_stage
from mixwise.recipe.tracking import Tracking
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.runs import Runs
from mixwise.tracking.study import TrackedStudy


def train_some(
    study: StudyFolder,
    settings: Settings,
    domains: Sequence[str],
    on_progress: OnProgress,
    on_stage: OnStage = silent_stage,
) -> dict[str, Path]:
    """Train the experts of some domains.

    Args:
        study: The study's folder; it must have been made.
        settings: Folders and permissions.
        domains: Names of the domains.
        on_progress: Told how far training has come.
        on_stage: Told that it begins, when nothing stands against it any more.

    Returns:
        Folder of each of their experts.

    Raises:
        RecipeError: If a name is no domain of the study.
        StudyError: If a process holds the study alone, or all experts are made together.
        BusyError: If another process is training one of them.
    """
    with study.share():
        recipe = study.recipe
        for name in domains:
            if name not in recipe.domains:
                fix = nearest(name, recipe.domain_names)
                raise RecipeError(f"`{printable(name, 80)}` is no domain of the study: {fix}")
        on_stage(Stage("experts"))
        memo = HashMemo(study.folder / MEMO_FILE, read_only=True)
        settings = replace(settings, kept=settings.kept or study.kept)
        inputs = Inputs(recipe, settings, hash_file=memo, on_progress=on_progress)
        ledger = study.open_ledger(read_only=True)
        rule = find_rule(recipe.chosen_rule)
        untold = TrackedStudy(Tracking(), study.folder, study.recipe_folder, {})
        runs = Runs(
            study, inputs, untold, rule, ledger, memo, on_progress, most_at_once=len(domains)
        )
        try:
            runs.train_experts_of(domains)
            return {name: runs.expert(name).folder for name in domains}
        finally:
            runs.close()
            ledger.close()
