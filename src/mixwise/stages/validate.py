"""Validation: train reference mixtures and see how well the proxy ranks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mixwise.decision.baselines import baselines
from mixwise.decision.fidelity import Fidelity, measure_fidelity
from mixwise.decision.references import spread_references
from mixwise.errors import RecipeError
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.search.method_table import method_for
from mixwise.stages.search import OBJECTIVE
from mixwise.study.folder import VALIDATION_FILE
from mixwise.study.inputs import Inputs
from mixwise.study.session import Workspace


def run_validation(workspace: Workspace) -> dict[str, Any]:
    """Train and score the references by both answers; writes ``validation.json``.

    Returns:
        The content of that file.

    Raises:
        RecipeError: If the recipe asks for no references.
    """
    if not workspace.recipe.validation.mixtures:
        raise RecipeError("`validation.mixtures` is 0: set how many references to train")
    workspace.study.remove_damaged((VALIDATION_FILE,))
    mixtures = choose_references(workspace.inputs)
    seeds = workspace.reference_seeds(workspace.recipe.validation.seeds)
    runs = workspace.reference(seeds).runs(mixtures)
    proxies = workspace.proxy.score(mixtures)
    by_mixture = [runs[k * len(seeds) : (k + 1) * len(seeds)] for k in range(len(mixtures))]
    fidelity = {
        name: asdict(measure_fidelity_of(workspace, name, proxies, by_mixture))
        for name in (OBJECTIVE, *(metric.name for metric in workspace.recipe.metrics))
    }
    content = {
        "seeds": list(seeds),
        "rule": workspace.rule.name,
        "mixtures": [
            {"proxy": workspace.summary(proxy), "references": [workspace.summary(r) for r in group]}
            for proxy, group in zip(proxies, by_mixture, strict=True)
        ],
        "fidelity": fidelity,
    }
    workspace.save_result(VALIDATION_FILE, content)
    return content


def choose_references(inputs: Inputs) -> tuple[Mixture, ...]:
    """The reference mixtures: spread over the space, away from all that the search scores.

    Raises:
        RecipeError: If the bounds leave no room for so many.
    """
    recipe, space = inputs.recipe, inputs.space
    search, wanted = recipe.search, recipe.validation.mixtures
    rivals = baselines(("uniform", "available", "single"), inputs.available_tokens)
    method = method_for(search.method, recipe.objective_terms)
    design = method.design(space, search.budget, search.seed)
    taken = [*design, *(rival.mixture for rival in rivals)]
    chosen = spread_references(space, wanted, taken=taken, seed=search.seed)
    if len(chosen) < wanted:
        raise RecipeError(
            f"`validation.mixtures` is {wanted}, but there is room for only {len(chosen)} "
            "different ones within `search.bounds`: lower it or widen the bounds"
        )
    return chosen


def measure_fidelity_of(
    workspace: Workspace,
    name: str,
    proxies: Sequence[Observation],
    by_mixture: Sequence[Sequence[Observation]],
) -> Fidelity:
    """Fidelity of one metric, or of the objective.

    Args:
        workspace: The study.
        name: Name of the metric, or ``objective``.
        proxies: One observation per mixture.
        by_mixture: One observation per mixture and seed.
    """
    signs = {metric.name: metric.sign for metric in workspace.recipe.metrics}

    def value(observation: Observation) -> float:
        if name == OBJECTIVE:
            return workspace.objective.value(observation.values, workspace.scale)
        return observation.measurement(name).value

    return measure_fidelity(
        np.array([value(proxy) for proxy in proxies]),
        [[value(run) for run in group] for group in by_mixture],
        sign=signs.get(name, 1),
        seed=workspace.recipe.search.seed,
    )
