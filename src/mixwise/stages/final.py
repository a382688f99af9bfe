"""Final training: the recommendation and its baselines, for real, at the same horizon."""

from __future__ import annotations

from statistics import fmean

from mixwise.decision.baselines import NamedMixture, baselines
from mixwise.decision.calibration import Reference
from mixwise.decision.outcome import judge_outcome
from mixwise.mixture import Mixture
from mixwise.scoring.reference import MakeJob
from mixwise.stages.warm_start import warm_jobs
from mixwise.study.result_files import FILES
from mixwise.study.results import (
    BothAnswers,
    FinalFound,
    ValidationFound,
)
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
    if recipe.final.start == "merged":
        assert isinstance(workspace, Workspace)  # another study refuses the key
        make_job = warm_jobs(workspace, mixtures)
    elif isinstance(workspace, Workspace):
        make_job = _jobs(workspace, recommended)
    runs = workspace.reference(seeds, make_job).runs(mixtures)
    proxies = workspace.proxy.score(mixtures)
    rows = tuple(
        workspace.both_answers(Reference(proxy, group), entry.name)
        for entry, proxy, group in zip(entries, proxies, runs, strict=True)
    )
    reached = {row.name: fmean(run.objective for run in row.runs) for row in rows}
    others = {name: value for name, value in reached.items() if name != RECOMMENDED}
    outcome = judge_outcome(reached[RECOMMENDED], others, _groups(workspace, rows))
    found = FinalFound(seeds, rows, outcome)
    workspace.save_result(found)
    return found


def _jobs(workspace: Workspace, recommended: Mixture) -> MakeJob:
    """Runs of the recommendation and its baselines; of the first alone tools hear that it is it."""
    runs = workspace.runs

    def make(mixture: Mixture, seed: int) -> Run:
        is_it = str(mixture) == str(recommended)
        return runs.final_job(mixture, seed) if is_it else runs.job(mixture, seed)

    return make


def _groups(workspace: Workbench, rows: tuple[BothAnswers, ...]) -> list[list[float]]:
    """Objectives of all mixtures that were trained with several seeds, each mixture once."""
    validation = workspace.load_result(ValidationFound)
    entries = [*rows, *(validation.mixtures if validation else ())]
    groups = {str(entry.proxy.mixture): [run.objective for run in entry.runs] for entry in entries}
    return list(groups.values())
