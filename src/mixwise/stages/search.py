"""Search: score candidates by the proxy, name the best mixture and what it was compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Objective, Term
from mixwise.observation import Observation
from mixwise.search.baselines import NamedMixture, baselines
from mixwise.search.methods import METHODS
from mixwise.search.problem import SearchProblem, SearchResult
from mixwise.search.surfaces import fit_surface
from mixwise.stages.workspace import Workspace
from mixwise.study import CALIBRATION_FILE, RECOMMENDATION_FILE, SEARCH_FILE

OBJECTIVE = "objective"  # what the objective is called where metrics have names
_PROFILE_POINTS = 21


def run_search(workspace: Workspace) -> SearchResult:
    """Score candidates and baselines; writes ``search.json``.

    Returns:
        What the recipe's search method found.
    """
    recipe, inputs = workspace.recipe, workspace.inputs
    workspace.study.remove_damaged((SEARCH_FILE, CALIBRATION_FILE, RECOMMENDATION_FILE))
    heldout = workspace.save_heldout()
    result = METHODS[recipe.search.method].search(problem_of(workspace))
    scored_baselines = workspace.proxy.score([entry.mixture for entry in every_baseline(workspace)])
    observations = _ranked(workspace, [*result.scored, *scored_baselines])
    names = {str(entry.mixture): entry.name for entry in every_baseline(workspace)}
    content: dict[str, Any] = {
        "method": result.method,
        "source": METHODS[result.method].source,
        "rule": workspace.rule.name,
        "n_scored": len(result.scored),
        "bounds": _bounds(inputs.space),
        "objective": _objective(workspace),
        "predicted_by_surrogate": result.predicted,
        "recommended": workspace.summary(result.best),
        "base": {"objective": 0.0, "metrics": workspace.base_observation.values},
        "candidates": [
            workspace.summary(o)
            | {"name": names.get(str(o.mixture)), "within_bounds": _inside(workspace, o)}
            for o in observations
        ],
        "profiles": _profiles(workspace, observations, result.best),
        "heldout": heldout,
    }
    workspace.save_result(SEARCH_FILE, content)
    return result


def problem_of(workspace: Workspace) -> SearchProblem:
    """The question that the recipe asks, put to the proxy."""
    search = workspace.recipe.search
    return SearchProblem(
        scorer=workspace.proxy,
        space=workspace.inputs.space,
        objective=workspace.objective,
        scale=workspace.scale,
        budget=search.budget,
        seed=search.seed,
        known=workspace.corners,
    )


def _problem_of_all_metrics(workspace: Workspace) -> SearchProblem:
    """The same problem with an objective that reads every metric there is."""
    terms = tuple(Term(metric, 1.0) for metric in workspace.recipe.metrics)
    return replace(problem_of(workspace), objective=Objective(terms))


def _bounds(space: MixtureSpace) -> dict[str, list[float]]:
    """Smallest and largest share of each domain, token limits included."""
    rows = zip(space.domains, space.lower, space.upper, strict=True)
    return {name: [low, high] for name, low, high in rows}


def _objective(workspace: Workspace) -> dict[str, Any]:
    """The objective as JSON: how each metric becomes a gain, and the gains one number."""
    scale = workspace.scale
    return {
        "aggregation": workspace.objective.aggregation,
        "terms": [
            {
                "metric": term.metric.name,
                "direction": term.metric.direction,
                "weight": term.weight,
                "base": scale.base[term.metric.name],
                "spread": scale.spread[term.metric.name],
            }
            for term in workspace.objective.terms
        ],
    }


def every_baseline(workspace: Workspace) -> tuple[NamedMixture, ...]:
    """All baselines, which the proxy always scores, whichever are trained in the end."""
    return baselines(("uniform", "available", "single"), workspace.inputs.available_tokens)


def _ranked(workspace: Workspace, observations: list[Observation]) -> list[Observation]:
    """Best first, each mixture once."""
    by_key = {str(o.mixture): o for o in observations}
    return sorted(
        by_key.values(), key=lambda o: -workspace.objective.value(o.values, workspace.scale)
    )


def _inside(workspace: Workspace, observation: Observation) -> bool:
    mixture = observation.mixture
    return mixture is not None and workspace.inputs.space.contains(mixture)


def _profiles(
    workspace: Workspace, observations: list[Observation], best: Observation
) -> dict[str, Any]:
    """Every metric along the lines from the recommendation to each corner.

    On the line of a domain its share goes from 0 to 1 while the others keep their proportions to
    each other; values are those of a surrogate that is fitted to all scored candidates and to the
    slopes that came with them.
    """
    metrics = [metric.name for metric in workspace.recipe.metrics]
    predict = fit_surface(_problem_of_all_metrics(workspace), observations).metrics
    terms = [metrics.index(metric.name) for metric in workspace.objective.metrics]
    grid = np.linspace(0, 1, _PROFILE_POINTS)
    lines = {}
    for i, domain in enumerate(workspace.recipe.domains):
        if best.mixture is None:
            continue
        line = predict(np.array([_along(best.mixture, i, share) for share in grid]))
        lines[domain] = {name: line[:, k].tolist() for k, name in enumerate(metrics)} | {
            OBJECTIVE: workspace.objective.aggregate(line[:, terms], workspace.scale).tolist()
        }
    return {"shares": grid.tolist(), "lines": lines}


def _along(mixture: Mixture, index: int, share: float) -> np.ndarray:
    others = mixture.array.copy()
    others[index] = 0
    if others.sum() == 0:
        others[:] = 1
        others[index] = 0
    point = others / others.sum() * (1 - share)
    point[index] = share
    return np.asarray(point)
