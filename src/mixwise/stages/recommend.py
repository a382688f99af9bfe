"""The recommendation: one mixture, how sure, what it cost, from what it was made."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import t as student_t

from mixwise import __version__
from mixwise.diagnostics.intervals import bootstrap_objective, interval, near_optimal
from mixwise.observation import Observation
from mixwise.search.designs import lattice
from mixwise.search.lattice import N_CHECKS
from mixwise.search.methods import METHODS
from mixwise.search.problem import SearchResult
from mixwise.stages.search import OBJECTIVE, every_baseline
from mixwise.stages.workspace import Workspace
from mixwise.study import FINAL_FILE, RECOMMENDATION_FILE, VALIDATION_FILE


def save_recommendation(workspace: Workspace, result: SearchResult) -> dict[str, Any]:
    """Write ``recommendation.json`` from the search and from whatever was validated and trained.

    The file holds nothing that depends on when or where it was made: a study that was killed and
    resumed ends in the same bytes as one that was not.

    Returns:
        The content of the file.
    """
    recipe = workspace.recipe
    candidates = _inside_once(workspace, result)
    draws = bootstrap_objective(
        candidates,
        workspace.base_observation,
        workspace.objective,
        workspace.scale,
        seed=recipe.search.seed,
    )
    best = [str(o.mixture) for o in candidates].index(str(result.best.mixture))
    validation = workspace.load_result(VALIDATION_FILE)
    final = _final_of(workspace, result)
    predicted = workspace.objective.value(result.best.values, workspace.scale)
    baseline_rows = every_baseline(workspace)
    scored = workspace.proxy.score([entry.mixture for entry in baseline_rows])
    content = {
        "mixture": workspace.summary(result.best)["mixture"],
        "predicted": {
            "objective": predicted,
            "interval_95": interval(draws[:, best]),
            "interval_from": "resampled evaluation examples",
            "reference_interval_95": _reference_interval(validation, predicted),
            "metrics": result.best.values,
        },
        "near_optimal": [workspace.summary(candidates[i]) for i in near_optimal(draws, best)],
        "baselines": [
            {"name": entry.name} | workspace.summary(observation)
            for entry, observation in zip(baseline_rows, scored, strict=True)
        ],
        "fidelity": None if validation is None else validation["fidelity"][OBJECTIVE],
        "verdict": None if final is None else final["verdict"],
        "cost": _cost(workspace, result),
        "provenance": _provenance(workspace, result),
    }
    workspace.study.save_json(RECOMMENDATION_FILE, content)
    return content


def _provenance(workspace: Workspace, result: SearchResult) -> dict[str, Any]:
    """Hashes, versions and seeds of all that the recommendation was made from."""
    recipe, inputs = workspace.recipe, workspace.inputs
    return {
        "mixwise": __version__,
        "recipe": workspace.result_key,
        "base": inputs.base.fingerprint,
        "experts": {name: workspace.expert(name).fingerprint for name in recipe.domains},
        "data": {name: inputs.corpus(name).key for name in recipe.domains},
        "evaluation": inputs.suite.fingerprint,
        "rule": workspace.rule.name,
        "method": result.method,
        "training_seed": recipe.training.seed,
        "search_seed": recipe.search.seed,
    }


def _final_of(workspace: Workspace, result: SearchResult) -> Any | None:
    """The final training of this recommendation, or None."""
    final = workspace.load_result(FINAL_FILE)
    mixture = workspace.summary(result.best)["mixture"]
    return final if final and final["rows"][0]["mixture"] == mixture else None


def _inside_once(workspace: Workspace, result: SearchResult) -> list[Observation]:
    inside = {
        str(o.mixture): o
        for o in result.scored
        if o.mixture is not None and workspace.inputs.space.contains(o.mixture)
    }
    return list(inside.values())


def _reference_interval(
    validation: dict[str, Any] | None, predicted: float
) -> tuple[float, float] | None:
    """Where training on the mixture should land, from the proxy's errors on the references.

    The prediction interval of one more error: predicted − bias ± t s √(1 + 1/M), where s is the
    standard deviation of the M errors (Student's t with M − 1 degrees of freedom).
    """
    if validation is None:
        return None
    errors = np.array(
        [
            np.mean([run["objective"] for run in entry["references"]]) - entry["proxy"]["objective"]
            for entry in validation["mixtures"]
        ]
    )
    m = len(errors)
    half = student_t.ppf(0.975, m - 1) * errors.std(ddof=1) * np.sqrt(1 + 1 / m)
    centre = predicted + errors.mean()
    return float(centre - half), float(centre + half)


def _cost(workspace: Workspace, result: SearchResult) -> dict[str, Any]:
    """Tokens spent, and tokens that a search by training would have cost."""
    recipe = workspace.recipe
    n_experts = sum(domain.expert is None for domain in recipe.domains.values())
    validation = workspace.load_result(VALIDATION_FILE)
    final = _final_of(workspace, result)
    runs = {
        "experts": n_experts,
        "validation": sum(len(e["references"]) for e in validation["mixtures"])
        if validation
        else 0,
        "final": sum(len(row["references"]) for row in final["rows"]) if final else 0,
    }
    n_if_trained = _runs_if_trained(workspace, result)
    in_search = {str(o.mixture): o.tokens_evaluated for o in result.scored}
    others = {str(entry.mixture) for entry in every_baseline(workspace)}
    others |= {str(e["proxy"]["mixture"]) for e in validation["mixtures"]} if validation else set()
    n_others = 1 + len(others - in_search.keys()) + runs["validation"] + runs["final"]
    return {
        "runs": runs,
        "trained_tokens": {kind: n * recipe.run_tokens for kind, n in runs.items()},
        "evaluated_tokens": sum(in_search.values())
        + n_others * workspace.base_observation.tokens_evaluated,
        "candidates_scored": len(result.scored),
        "search_runs_if_trained": n_if_trained,
        "search_tokens_spent": n_experts * recipe.run_tokens,
        "search_tokens_if_trained": n_if_trained * recipe.run_tokens,
        "search_tokens_avoided": (n_if_trained - n_experts) * recipe.run_tokens,
    }


def _runs_if_trained(workspace: Workspace, result: SearchResult) -> int:
    """Runs of a search that trains every candidate.

    Trained models have no slopes in the shares, so a search that read some would have had to train
    the lattice, the smallest design that determines a quadratic without them.
    """
    if METHODS[result.method].request.order == 0:
        return len(result.scored)
    return max(len(result.scored), len(lattice(workspace.inputs.space)) + N_CHECKS)
