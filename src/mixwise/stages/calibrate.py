"""Calibration: train the few mixtures that tell most about what the proxy misses."""

from __future__ import annotations

from mixwise.decision.calibration import (
    Calibrated,
    Reference,
    correct,
    train_in_turn,
    training_pool,
)
from mixwise.search.method_table import METHODS
from mixwise.search.problem import SearchResult
from mixwise.search.surrogates.objective_model import fit_surface
from mixwise.stages.search import problem_of
from mixwise.study.results import (
    CalibrationFound,
    ValidationFound,
)
from mixwise.study.workbench import Workbench


def run_calibration(workspace: Workbench, found: SearchResult) -> Calibrated:
    """Train what the budget pays for and correct the proxy's scores; writes ``calibration.json``.

    Where it pays for no calibration, scores are corrected as soon as a validation has
    trained references.
    """
    problem, wanted = problem_of(workspace), workspace.inputs.horizons
    seeds = workspace.runs.reference_seeds(wanted.calibration_seeds)
    surface = fit_surface(problem, found.scored)
    others = [*validated(workspace), *workspace.kept_references]
    chosen: tuple[Reference, ...] = ()
    if wanted.n_calibration:
        is_of_subsets = METHODS[found.method].is_of_subsets
        chosen = train_in_turn(
            problem,
            training_pool(problem, found, surface, is_of_subsets=is_of_subsets),
            surface,
            workspace.reference(seeds),
            n_mixtures=wanted.n_calibration,
            n_seeds=wanted.calibration_seeds,
            known=workspace.kept_references,
        )
    calibrated = correct(problem, found, surface, chosen, others)
    discrepancy = calibrated.discrepancy
    workspace.save_result(
        CalibrationFound(
            seeds,
            workspace.rule.name,
            tuple(workspace.both_answers(reference) for reference in chosen),
            discrepancy.noise if discrepancy else None,
        )
    )
    return calibrated


def validated(workspace: Workbench) -> list[Reference]:
    """The references of the validation, once they are trained."""
    found = workspace.load_result(ValidationFound)
    return [] if found is None else workspace.references_of(found)
