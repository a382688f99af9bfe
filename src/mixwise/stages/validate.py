"""Validation: train reference mixtures and see how well the proxy ranks them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixwise.decision.baselines import baselines
from mixwise.decision.calibration import Reference
from mixwise.decision.fidelity import Fidelity, measure_fidelity
from mixwise.decision.references import spread_references
from mixwise.decision.score import OBJECTIVE
from mixwise.errors import RecipeError
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.search.method_table import method_for
from mixwise.study.result_files import FILES
from mixwise.study.results import ValidationFound
from mixwise.study.study_inputs import StudyInputs
from mixwise.study.workbench import Workbench


def run_validation(workspace: Workbench) -> ValidationFound:
    """Train and score the references by both answers; writes ``validation.json``.

    Raises:
        RecipeError: If the recipe asks for no references.
    """
    if not workspace.recipe.validation.mixtures:
        raise RecipeError("`validation.mixtures` is 0: set how many references to train")
    workspace.study.remove_damaged((FILES[ValidationFound],))
    mixtures = choose_references(workspace.inputs)
    seeds = workspace.runs.reference_seeds(workspace.recipe.validation.seeds)
    runs = workspace.reference(seeds).runs(mixtures)
    proxies = workspace.proxy.score(mixtures)
    references = [Reference(*pair) for pair in zip(proxies, runs, strict=True)]
    names = (OBJECTIVE, *(metric.name for metric in workspace.recipe.metrics))
    found = ValidationFound(
        seeds,
        workspace.rule.name,
        tuple(workspace.both_answers(reference) for reference in references),
        {name: measure_fidelity_of(workspace, name, references) for name in names},
    )
    workspace.save_result(found)
    return found


def choose_references(inputs: StudyInputs) -> tuple[Mixture, ...]:
    """The reference mixtures: spread over the space, away from all that the search scores.

    Raises:
        RecipeError: If the limits leave no room for so many.
    """
    recipe, space = inputs.recipe, inputs.space
    search, wanted = recipe.search, recipe.validation.mixtures
    rivals = baselines(("uniform", "available", "single"), inputs.available)
    groups = search.domain_groups(recipe.domain_names)
    method = method_for(search.method, recipe.objective_terms, groups)
    design = method.design(space, search.budget, search.seed)
    taken = [*design, *(rival.mixture for rival in rivals)]
    chosen = spread_references(space, wanted, taken=taken, seed=search.seed)
    if len(chosen) < wanted:
        raise RecipeError(
            f"`validation.mixtures` is {wanted}, but there is room for only {len(chosen)} "
            "different ones within the limits of the search: lower it or widen the limits"
        )
    return chosen


def measure_fidelity_of(
    workspace: Workbench, name: str, references: Sequence[Reference]
) -> Fidelity:
    """Fidelity of one metric, or of the objective.

    Args:
        workspace: The study.
        name: Name of the metric, or ``objective``.
        references: Mixtures by both answers.
    """
    signs = {metric.name: metric.sign for metric in workspace.recipe.metrics}

    def value(observation: Observation) -> float:
        return workspace.score_of(observation).value(name)

    return measure_fidelity(
        np.array([value(reference.proxy) for reference in references]),
        [[value(run) for run in reference.runs] for reference in references],
        sign=signs.get(name, 1),
        seed=workspace.recipe.search.seed,
    )
