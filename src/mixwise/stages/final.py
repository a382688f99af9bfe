"""Final training: the recommendation and its baselines, for real, at the same horizon."""

from __future__ import annotations

from statistics import fmean

from mixwise.decision.baselines import NamedMixture, baselines
from mixwise.decision.calibration import Reference
from mixwise.decision.outcome import judge_outcome
from mixwise.mixture import Mixture
from mixwise.scoring.reference import MakeJob
from mixwise.stages.warm_start import MakeTrainingJob, warm_jobs
from mixwise.study.result_files import FILES
from mixwise.study.results import (
    BothAnswers,
    FinalFound,
    ValidationFound,
)
from mixwise.study.runs import Runs
from mixwise.study.session import Workspace
from mixwise.study.workbench import Workbench
from mixwise.training.job import Run

RECOMMENDED = "recommended"


def run_final(workspace: Workbench, recommended: Mixture) -> FinalFound:
    """Train and score the recommended mixture and the baselines; writes ``final.json``.

    Args:
        workspace: The study.
        recommended: The mixture to train beside the baselines.
    """
    recipe = workspace.recipe
    workspace.study.remove_damaged((FILES[FinalFound],))
    rivals = [
        entry
        for entry in baselines(recipe.final.baselines, workspace.inputs.available)
        if str(entry.mixture) != str(recommended)
    ]
    entries = [NamedMixture(RECOMMENDED, recommended), *rivals]
    seeds = workspace.runs.reference_seeds(recipe.final.seeds)
    mixtures = [entry.mixture for entry in entries]
    make_job = None
    if isinstance(workspace, Workspace):
        is_warm = recipe.final.start == "merged"
        make = warm_jobs(workspace, mixtures) if is_warm else workspace.runs.job
        make_job = _told(workspace.runs, make, recommended)
    runs = workspace.reference(seeds, make_job).runs(mixtures)
    proxies = workspace.proxy.score(mixtures)
    rows = tuple(
        workspace.both_answers(Reference(proxy, group), entry.name)
        for entry, proxy, group in zip(entries, proxies, runs, strict=True)
    )
    reached = {row.name: fmean(run.objective for run in row.runs) for row in rows}
    others = {name: value for name, value in reached.items() if name != RECOMMENDED}
    outcome = judge_outcome(reached[RECOMMENDED], others, _groups(workspace, rows))
    found = FinalFound(seeds, rows, outcome, recipe.final.start)
    workspace.save_result(found)
    return found


def _told(runs: Runs, make: MakeTrainingJob, recommended: Mixture) -> MakeJob:
    """Runs of the recommendation and its baselines; of the first alone tools hear that it is it."""

    def job(mixture: Mixture, seed: int) -> Run:
        made = make(mixture, seed)
        return runs.tracked(made, "final") if str(mixture) == str(recommended) else made

    return job


def _groups(workspace: Workbench, rows: tuple[BothAnswers, ...]) -> list[list[float]]:
    """Objectives of all mixtures that were trained with several seeds, each mixture once."""
    validation = workspace.load_result(ValidationFound)
    entries = [*rows, *(validation.mixtures if validation else ())]
    groups = {str(entry.proxy.mixture): [run.objective for run in entry.runs] for entry in entries}
    return list(groups.values())
