"""Calibration: train the few mixtures that tell most about what the proxy misses, and choose again.

Method:
    The uniform mixture is trained first, then those whose training is expected to save the most
    regret (`next_reference`), as long as that is more than a hundredth of a spread.
    What the proxy misses is learned from them, and from the references of the validation where
    there are any; recommended is the mixture with the largest proxy score so corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixwise.arrays import Array
from mixwise.decision.discrepancy import Calibration, Trained, calibrate, leave_one_out
from mixwise.decision.next_reference import choose_next
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.search.method_table import METHODS
from mixwise.search.problem import SearchResult, distinct, mixture_of
from mixwise.search.space.designs import centre
from mixwise.search.space.optimum import maximise
from mixwise.search.space.simplex import sample
from mixwise.search.surrogates.objective_model import Surface, fit_surface
from mixwise.stages.search import problem_of
from mixwise.study.folder import CALIBRATION_FILE, VALIDATION_FILE
from mixwise.study.session import Workspace

# In units of the objective, which are spreads between experts; from the truth bed's development
# mixtures. The references that are trained outweigh both.
SIZE = 0.2
NOISE = 0.1
_LEAST_GAIN = 0.01
_N_CANDIDATES = 192
_N_SAMPLES = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """The search's answer after calibration.

    Args:
        result: What the search found, its best replaced by the best corrected score.
        belief: What the proxy is believed to miss; None without a reference.
        surface: The proxy's scores as the search believes them.
        trained: The references behind the belief.
    """

    result: SearchResult
    belief: Calibration | None
    surface: Surface
    trained: tuple[Trained, ...]

    def value(self, shares: Array) -> Array:
        """Expected reference score of mixtures, ``(n, n_domains)`` → ``(n,)``."""
        return np.asarray(self.surface.value(shares) + self.missed(shares))

    def missed(self, shares: Array) -> Array:
        """What the proxy is expected to miss of mixtures, ``(n,)``; zero without a reference."""
        return self.belief.predict(shares)[0] if self.belief else np.zeros(len(shares))


def run_calibration(workspace: Workspace, result: SearchResult) -> Calibrated:
    """Train what the recipe asks for and correct the search's answer; writes ``calibration.json``.

    Where the recipe asks for no calibration, the search's answer stays as it is; what it should
    reach is still predicted, as soon as a validation has trained references.
    """
    surface = fit_surface(problem_of(workspace), result.scored)
    rows = _train_in_turn(workspace, result, surface)
    trained = _each_mixture_once([*(_trained(row) for row in rows), *_validated(workspace)])
    belief = calibrate(trained, size=SIZE, noise=NOISE) if trained else None
    content = {
        "seeds": list(workspace.reference_seeds(workspace.recipe.calibration.seeds)),
        "rule": workspace.rule.name,
        "mixtures": rows,
        "noise": belief.noise if belief else None,
    }
    workspace.save_result(CALIBRATION_FILE, content)
    corrected = Calibrated(result, belief, surface, trained)
    if belief is None or not rows:
        return corrected
    best = _choose(workspace, corrected)
    scored = result.scored if best in result.scored else (*result.scored, best)
    return replace(corrected, result=replace(result, best=best, scored=scored))


def _each_mixture_once(trained: Sequence[Trained]) -> tuple[Trained, ...]:
    """References with the runs of a mixture put together, a run of one seed counted once.

    Calibration may have chosen a mixture that validation trains too. Counted twice, its run would
    pass for more evidence than it is, and a reference that is left out would predict itself.
    """
    runs: dict[tuple[float, ...], dict[int, float]] = {}
    first: dict[tuple[float, ...], Trained] = {}
    for one in trained:
        key = tuple(one.shares.tolist())
        first.setdefault(key, one)
        by_seed = zip(one.seeds, one.references.tolist(), strict=True)
        runs[key] = dict(by_seed) | runs.get(key, {})
    return tuple(
        replace(
            first[key],
            references=np.array([by_seed[seed] for seed in sorted(by_seed)]),
            seeds=tuple(sorted(by_seed)),
        )
        for key, by_seed in runs.items()
    )


def predict_left_out(trained: Sequence[Trained]) -> Array:
    """Score of each reference as predicted from all the others, shape ``(m,)``."""
    missed = leave_one_out(trained, size=SIZE, noise=NOISE)
    return np.array([t.proxy for t in trained]) + missed


def _train_in_turn(
    workspace: Workspace, result: SearchResult, surface: Surface
) -> list[dict[str, Any]]:
    """Train one mixture after the other, each chosen from what the others have shown."""
    rows: list[dict[str, Any]] = []
    while len(rows) < workspace.recipe.calibration.mixtures:
        space = workspace.inputs.space
        mixture, gain = centre(space), None
        if rows:
            belief = calibrate([_trained(row) for row in rows], size=SIZE, noise=NOISE)
            candidates = _candidates(workspace, result, surface)
            missed, covariance = belief.joint(_shares(candidates))
            means = surface.value(_shares(candidates)) + missed
            n_seeds = workspace.recipe.calibration.seeds
            worth = choose_next(means, covariance, belief.noise / np.sqrt(n_seeds))
            mixture, gain = candidates[worth.index], worth.gain
            if gain < _LEAST_GAIN or str(mixture) in {row["key"] for row in rows}:
                break
        rows.append(_train(workspace, mixture, gain))
    return rows


def _train(workspace: Workspace, mixture: Mixture, gain: float | None) -> dict[str, Any]:
    seeds = workspace.reference_seeds(workspace.recipe.calibration.seeds)
    runs = workspace.reference(seeds).runs([mixture])
    [proxy] = workspace.proxy.score([mixture])
    return {
        "key": str(mixture),
        "expected_gain": gain,
        "proxy": workspace.summary(proxy),
        "references": [workspace.summary(run) | {"seed": run.seeds[0]} for run in runs],
    }


def _candidates(
    workspace: Workspace, result: SearchResult, surface: Surface
) -> tuple[Mixture, ...]:
    """Mixtures worth training: the best by the proxy among many, and the one it recommends."""
    if METHODS[result.method].is_of_subsets:
        return distinct([mixture_of(o) for o in result.scored])
    space = workspace.inputs.space
    points = sample(space, _N_SAMPLES, seed=workspace.recipe.search.seed)
    order = np.argsort(-surface.value(points), kind="stable")[: 8 * _N_CANDIDATES : 8]
    some = [space.rounded(point, 3) for point in points[order]]
    return distinct([mixture_of(result.best), *some])


def _shares(mixtures: Sequence[Mixture]) -> Array:
    return np.array([mixture.shares for mixture in mixtures])


def _trained(row: dict[str, Any]) -> Trained:
    return Trained(
        shares=np.array(list(row["proxy"]["mixture"].values())),
        proxy=row["proxy"]["objective"],
        references=np.array([run["objective"] for run in row["references"]]),
        seeds=tuple(run["seed"] for run in row["references"]),
    )


def _validated(workspace: Workspace) -> list[Trained]:
    """The references of the validation, once they are trained."""
    validation = workspace.load_result(VALIDATION_FILE)
    if validation is None:
        return []
    seeds = validation["seeds"]
    return [
        _trained(
            entry
            | {
                "references": [
                    run | {"seed": seed}
                    for run, seed in zip(entry["references"], seeds, strict=True)
                ]
            }
        )
        for entry in validation["mixtures"]
    ]


def _choose(workspace: Workspace, corrected: Calibrated) -> Observation:
    """The proxy's observation of the mixture with the largest corrected score."""
    space, seed = workspace.inputs.space, workspace.recipe.search.seed
    known = [o for o in corrected.result.scored if o.mixture and space.contains(o.mixture)]
    if not METHODS[corrected.result.method].is_of_subsets:
        top = maximise(corrected.value, space, seed=seed)
        known = [*workspace.proxy.score([top]), *known]
    missed = corrected.missed(_shares([mixture_of(o) for o in known]))
    scores = np.array([workspace.objective.value(o.values, workspace.scale) for o in known])
    return known[int((scores + missed).argmax())]
