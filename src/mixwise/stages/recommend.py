"""The recommendation: one mixture, how sure, what it cost, from what it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixwise import __version__
from mixwise.arrays import Array
from mixwise.decision.bootstrap import Standing, bootstrap_objective, interval, standings
from mixwise.export.shares import key_of
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.search.method_table import METHODS
from mixwise.search.methods.lattice import N_CHECKS
from mixwise.search.problem import SearchResult, shares_of
from mixwise.search.space.designs import lattice
from mixwise.search.space.simplex import sample
from mixwise.stages.calibrate import Calibrated
from mixwise.stages.search import OBJECTIVE, every_baseline
from mixwise.stages.trust import judge_recommendation
from mixwise.study.folder import CALIBRATION_FILE, FINAL_FILE, RECOMMENDATION_FILE, VALIDATION_FILE
from mixwise.study.session import Workspace

_N_DRAWS = 1000  # as many as of the examples
_N_PREDICTED = 512
_TWO_SIDED = 1.96  # of a normal distribution
_PROXY_INTERVAL = (
    "resampled evaluation examples alone: neither what merging misses nor the noise of training"
)
_REFERENCE_INTERVAL = (
    "what merging misses, as trained references show it, and the noise of the final runs"
)


def save_recommendation(workspace: Workspace, calibrated: Calibrated) -> dict[str, Any]:
    """Write ``recommendation.json`` from the search and from whatever was validated and trained.

    The file holds nothing that depends on when or where it was made: a study that was killed and
    resumed ends in the same bytes as one that was not.

    Returns:
        The content of the file.
    """
    recipe, result = workspace.recipe, calibrated.result
    baseline_rows = every_baseline(workspace)
    scored = workspace.proxy.score([entry.mixture for entry in baseline_rows])
    compared = _each_once([*_inside(workspace, result.scored), *scored])
    draws = bootstrap_objective(
        compared,
        workspace.base_observation,
        workspace.objective,
        workspace.scale,
        seed=recipe.search.seed,
    )
    best = [o.mixture for o in compared].index(result.best.mixture)
    reference = _reference(workspace, calibrated)
    stand = standings(draws + reference.draws(compared), best)
    rows = {
        str(o.mixture): _row(workspace, calibrated, o, standing)
        for o, standing in zip(compared, stand, strict=True)
    }
    is_known = reference.expected is not None
    validation = workspace.load_result(VALIDATION_FILE)
    final = _final_of(workspace, result)
    content = {
        "mixture": workspace.summary(result.best)["mixture"],
        "predicted": {
            "go_by": "reference" if is_known else "objective",
            "objective": rows[str(result.best.mixture)]["objective"],
            "objective_from": "the merged model (proxy)",
            "interval_95": interval(draws[:, best]),
            "interval_from": _PROXY_INTERVAL,
            "reference": reference.expected,
            "reference_from": "the proxy, calibrated by trained models" if is_known else None,
            "reference_interval_95": reference.interval,
            "reference_interval_from": _REFERENCE_INTERVAL if is_known else None,
            "n_references": len(calibrated.trained),
            "metrics": result.best.values,
        },
        "near_optimal": [
            rows[str(o.mixture)]
            for o in _inside(workspace, compared)
            if rows[str(o.mixture)]["standing"] != "behind"
        ],
        "near_optimal_shares": reference.near_optimal_shares,
        "baselines": [{"name": entry.name, **rows[str(entry.mixture)]} for entry in baseline_rows],
        "fidelity": None if validation is None else validation["fidelity"][OBJECTIVE],
        **judge_recommendation(workspace, calibrated).as_dict(),
        "verdict": None if final is None else final["verdict"],
        "cost": _cost(workspace, result),
        "run": {
            "n_sequences": recipe.n_steps * recipe.training.batch_sequences,
            "sequence_length": recipe.sequence_length,
            "available_tokens": workspace.inputs.available_tokens,
        },
        "provenance": _provenance(workspace, result),
    }
    workspace.study.save_json(RECOMMENDATION_FILE, content)
    return content


def _row(
    workspace: Workspace,
    calibrated: Calibrated,
    observation: Observation,
    standing: Standing,
) -> dict[str, Any]:
    """A scored mixture beside the recommended one; ``reference``: what training should reach."""
    summary = workspace.summary(observation)
    missed = float(calibrated.missed(shares_of([observation]))[0])
    return summary | {
        "reference": summary["objective"] + missed if calibrated.belief else None,
        "standing": standing,
    }


def _provenance(workspace: Workspace, result: SearchResult) -> dict[str, Any]:
    """Hashes, versions and seeds of all that the recommendation was made from."""
    recipe, inputs = workspace.recipe, workspace.inputs
    return {
        "mixwise": __version__,
        "recipe": workspace.result_key,
        "recipe_alone": key_of(recipe),
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


def _inside(workspace: Workspace, observations: Sequence[Observation]) -> list[Observation]:
    """Those within the bounds, which alone may be recommended."""
    space = workspace.inputs.space
    return [o for o in observations if o.mixture is not None and space.contains(o.mixture)]


def _each_once(observations: Sequence[Observation]) -> list[Observation]:
    return list({str(o.mixture): o for o in observations}.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Reference:
    """What training on the recommendation should reach; nothing is known without a reference.

    Args:
        calibrated: Belief, and the references behind it.
        expected: Score of a model that is really trained on the recommended mixture.
        interval: Where the mean of the final runs should land, 95 %.
        near_optimal_shares: Of each domain, smallest and largest share of the mixtures that cannot
            be told from the best, among many that were only predicted.
        seed: Of all draws.
    """

    calibrated: Calibrated
    expected: float | None
    interval: tuple[float, float] | None
    near_optimal_shares: dict[str, list[float]] | None
    seed: int

    def draws(self, candidates: Sequence[Observation]) -> Array:
        """What the proxy may miss of each candidate, ``(1000, n)``; zero without a reference."""
        if self.expected is None:
            return np.zeros((_N_DRAWS, len(candidates)))
        return _draw(self.calibrated, shares_of(candidates), self.seed)


def _reference(workspace: Workspace, calibrated: Calibrated) -> _Reference:
    seed = workspace.recipe.search.seed
    if calibrated.belief is None:
        return _Reference(calibrated, None, None, None, seed)
    best = calibrated.result.best
    predicted = workspace.objective.value(best.values, workspace.scale)
    missed, deviation = calibrated.belief.predict(shares_of([best]))
    expected = predicted + float(missed[0])
    n_seeds = workspace.recipe.final.seeds
    half = _TWO_SIDED * float(np.hypot(deviation[0], calibrated.belief.noise / np.sqrt(n_seeds)))
    return _Reference(
        calibrated,
        expected,
        (expected - half, expected + half),
        _near_optimal_shares(workspace, calibrated, seed),
        seed,
    )


def _near_optimal_shares(
    workspace: Workspace, calibrated: Calibrated, seed: int
) -> dict[str, list[float]]:
    """Range of each domain's share over predicted mixtures that may be as good as the best.

    They lie on lines from the best into the whole space, as many near it as far away.
    """
    space, best = workspace.inputs.space, shares_of([calibrated.result.best])
    steps = np.random.default_rng(seed).random((_N_PREDICTED, 1))
    many = best + steps * (sample(space, _N_PREDICTED, seed=seed) - best)
    points = np.concatenate([best, many])
    behind = calibrated.value(points)[0] - calibrated.value(points)
    draws = _draw(calibrated, points, seed)
    spread = (draws[:, :1] - draws).std(axis=0)
    kept = points[behind <= _TWO_SIDED * spread + 1e-12]
    return {
        name: [float(low), float(high)]
        for name, low, high in zip(space.domains, kept.min(0), kept.max(0), strict=True)
    }


def _draw(calibrated: Calibrated, shares: Array, seed: int) -> Array:
    """What the proxy may miss, drawn from the belief at all mixtures together, ``(1000, n)``."""
    assert calibrated.belief is not None
    mean, covariance = calibrated.belief.joint(shares)
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal(mean, covariance, _N_DRAWS, check_valid="ignore", method="eigh")


def _cost(workspace: Workspace, result: SearchResult) -> dict[str, Any]:
    """Tokens spent, and tokens that a search by training would have cost.

    A run that two stages share, as calibration and final training do the uniform mixture, counts in
    both. What calibration trains is a part of the search.
    """
    recipe = workspace.recipe
    n_experts = sum(domain.expert is None for domain in recipe.domains.values())
    calibration = workspace.load_result(CALIBRATION_FILE)
    validation = workspace.load_result(VALIDATION_FILE)
    final = _final_of(workspace, result)
    runs = {
        "experts": n_experts,
        "calibration": _n_runs(calibration),
        "validation": _n_runs(validation),
        "final": sum(len(row["references"]) for row in final["rows"]) if final else 0,
    }
    n_if_trained = _runs_if_trained(workspace, result)
    in_search = {str(o.mixture): o.tokens_evaluated for o in result.scored}
    others = {str(entry.mixture) for entry in every_baseline(workspace)}
    others |= _keys(calibration) | _keys(validation)
    n_others = 1 + len(others - in_search.keys()) + sum(runs.values()) - n_experts
    n_searched = n_experts + runs["calibration"]
    return {
        "runs": runs,
        "trained_tokens": {kind: n * recipe.run_tokens for kind, n in runs.items()},
        "evaluated_tokens": sum(in_search.values())
        + n_others * workspace.base_observation.tokens_evaluated,
        "candidates_scored": len(result.scored),
        "search_runs_if_trained": n_if_trained,
        "search_tokens_spent": n_searched * recipe.run_tokens,
        "search_tokens_if_trained": n_if_trained * recipe.run_tokens,
        "search_tokens_avoided": (n_if_trained - n_searched) * recipe.run_tokens,
    }


def _n_runs(content: dict[str, Any] | None) -> int:
    return sum(len(entry["references"]) for entry in content["mixtures"]) if content else 0


def _keys(content: dict[str, Any] | None) -> set[str]:
    """The mixtures of calibration or validation, each as `str(Mixture)` has it."""
    shares = [entry["proxy"]["mixture"] for entry in content["mixtures"]] if content else []
    return {str(Mixture(tuple(mixture), tuple(mixture.values()))) for mixture in shares}


def _runs_if_trained(workspace: Workspace, result: SearchResult) -> int:
    """Runs of a search that trains every candidate.

    Trained models have no slopes in the shares, so a search that read some would have had to train
    the lattice, the smallest design that determines a quadratic without them.
    """
    if METHODS[result.method].request.order == 0:
        return len(result.scored)
    return max(len(result.scored), len(lattice(workspace.inputs.space)) + N_CHECKS)
