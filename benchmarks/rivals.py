"""Published ways to choose a mixture, on the tables of a truth bed; and the table of all methods.

Notation:
    λ: shares, ``(n, d)``.  y: losses of the objective's sets, ``(n, sets)``.  J: minus their mean.

Method:
    Each takes a purse, buys what its budget allows, and returns one of the candidates. Where a
    paper searches the whole simplex, the candidates are searched; where it merges or trains random
    mixtures, random candidates are taken. Settings that papers leave open, or give for hundreds of
    points, were chosen on development mixtures (`benchmarks.regret --tune`).

Source:
    Liu et al. 2024 (RegMix, arXiv 2407.01492); Ye et al. 2024 (Data Mixing Laws, arXiv 2403.16952);
    Tao et al. 2025 (Merge to Mix, arXiv 2505.16066); Wang et al. 2026 (MergeMix, arXiv 2601.17858);
    Li et al. 2026 (DeMix, arXiv 2602.00747).

Departures:
    RegMix trains 512 models and needs 20 points a leaf; with tens of runs its trees could not split
    once, so leaves are smaller. DeMix averages its 128 best predicted of 200,000 random mixtures;
    of some thirty candidates the best predicted one was better on development mixtures than the
    nearest to the average of three or six.
    Merge to Mix is given the candidates that are plain averages, as nothing else can be judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from benchmarks.log_linear_law import fit_law
from benchmarks.mixwise_pick import MERGED_SHARE, by_mixwise
from benchmarks.purse import OverspentError, Pick, Purse, objective
from benchmarks.surrogates import Trees, fit_line, fit_noisy_process, fit_trees
from benchmarks.truth.pool import available_shares

from mixwise.mixture import Mixture

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Fit = Callable[[Array, Array], Callable[[Array], Array]]
_LEAST_RUNS = 3
_MERGEMIX_POINTS = 40


@dataclass(frozen=True, slots=True)
class Rival:
    """A row of the table of methods.

    Args:
        name: In tables.
        source: Paper.
        pick: What it does; raises OverspentError where the budget is too small for it.
    """

    name: str
    source: str
    pick: Pick


# --- nothing is bought ---------------------------------------------------------------------------


def pick_uniform(purse: Purse) -> int:
    """The uniform mixture, which is no candidate but has been trained as often."""
    return purse.pool.index(Mixture.uniform(purse.pool.bed.domains))


def pick_proportional(purse: Purse) -> int:
    """The candidate nearest to the domains' available tokens."""
    return _nearest(purse, np.array(available_shares(purse.pool.bed.name)))


def pick_any(purse: Purse) -> int:
    """Any candidate."""
    return int(purse.rng.choice(purse.candidates))


# --- trained runs --------------------------------------------------------------------------------


def pick_best_run(purse: Purse) -> int:
    """Train random candidates and keep the best."""
    chosen, losses = _train_some(purse)
    return int(chosen[np.argmax(objective(losses))])


def by_regression(fit: Fit) -> Pick:
    """Train random candidates, fit a regression of the objective, take its best prediction."""

    def pick(purse: Purse) -> int:
        chosen, losses = _train_some(purse)
        target = losses.mean(axis=1, keepdims=True)
        return _best_predicted(purse, fit(purse.shares[chosen], target))

    return pick


def pick_law(purse: Purse) -> int:
    """The same with a law of every loss, as laws of losses do not add up to one."""
    chosen, losses = _train_some(purse)
    return _best_predicted(purse, fit_law(purse.shares[chosen], losses))


def by_small_regression(fit: Fit) -> Pick:
    """The same with runs of a narrower model, of whatever mixtures it was trained on."""

    def pick(purse: Purse) -> int:
        if purse.small is None:
            raise OverspentError("the bed has no narrower model")
        known = [purse.pool.index(mixture) for mixture in purse.small.mixtures]
        n = min(purse.affordable(purse.small_run), len(known))
        if n < _LEAST_RUNS:
            raise OverspentError("too few runs to fit anything")
        chosen = purse.rng.choice(known, n, replace=False)
        losses = np.array([purse.train_small(k) for k in chosen])
        target = losses.mean(axis=1, keepdims=True)
        return _best_predicted(purse, fit(purse.shares[chosen], target))

    return pick


# --- merged models -------------------------------------------------------------------------------


def pick_merge_to_mix(purse: Purse) -> int:
    """The best plain average, of those that can be afforded."""
    purse.buy_experts()
    averages = [k for k in purse.candidates if np.ptp(purse.shares[k][purse.shares[k] > 0]) < 1e-6]
    n = min(purse.affordable(purse.evaluation), len(averages))
    if not n:
        raise OverspentError("no merge can be afforded, or no candidate is a plain average")
    chosen = purse.rng.choice(averages, n, replace=False)
    scores = [objective(purse.merge(k)) for k in chosen]
    return int(chosen[np.argmax(scores)])


def pick_merged(purse: Purse) -> int:
    """The best linear merge, of those that can be afforded."""
    purse.buy_experts()
    chosen, losses = _merge_some(purse, len(purse.candidates))
    return int(chosen[np.argmax(objective(losses))])


def pick_mergemix(purse: Purse) -> int:
    """MergeMix: trees on at most 40 merges, the best prediction checked by a merge."""
    corners = purse.buy_experts()
    n = min(_MERGEMIX_POINTS - len(corners) - 1, purse.affordable(purse.evaluation) - 1)
    chosen, losses = _merge_some(purse, n)
    shares = np.concatenate([np.eye(len(corners)), purse.shares[chosen]])
    predict = fit_trees(shares, np.concatenate([corners, losses]))
    best = _best_predicted(purse, predict)
    if best in chosen:
        return best
    scores = np.append(objective(losses), objective(purse.merge(best)))
    return int(np.append(chosen, best)[np.argmax(scores)])


def by_demix(n_averaged: int) -> Pick:
    """DeMix: three rounds of merges (4 : 2 : 1), each of the best predicted ranks."""

    def pick(purse: Purse) -> int:
        corners = purse.buy_experts()
        n = min(purse.affordable(purse.evaluation), len(purse.candidates))
        chosen, losses = _merge_some(purse, max(round(n * 4 / 7), 1))
        for share in (2 / 7, 1 / 7):
            predict = _fit_ranks(purse.shares[chosen], losses, corners)
            rest = np.setdiff1d(purse.candidates, chosen)
            size = min(round(n * share), purse.affordable(purse.evaluation), len(rest))
            more = rest[np.argsort(-predict(purse.shares[rest]), kind="stable")[:size]]
            merged = [purse.merge(k) for k in more]
            chosen = np.concatenate([chosen, more])
            losses = np.concatenate([losses, np.array(merged).reshape(size, losses.shape[1])])
        predict = _fit_ranks(purse.shares[chosen], losses, corners)
        shares = purse.shares[purse.candidates]
        best = np.argsort(-predict(shares), kind="stable")[:n_averaged]
        return _nearest(purse, shares[best].mean(axis=0))

    return pick


def _fit_ranks(shares: Array, losses: Array, corners: Array) -> Callable[[Array], Array]:
    """Trees on the rank of the objective, the experts' included; larger is better."""
    scores = objective(np.concatenate([corners, losses]))
    ranks = np.argsort(np.argsort(scores)).astype(np.float64)
    fitted = fit_trees(np.concatenate([np.eye(len(corners)), shares]), ranks[:, None])
    return lambda points: fitted(points)[:, 0]


# --- shared --------------------------------------------------------------------------------------


def _train_some(purse: Purse) -> tuple[Indices, Array]:
    """Train as many random candidates as can be afforded."""
    n = min(purse.affordable(purse.run), len(purse.candidates))
    if n < _LEAST_RUNS:
        raise OverspentError("too few runs to fit anything")
    chosen = purse.rng.choice(purse.candidates, n, replace=False)
    return chosen, np.array([purse.train(int(k)) for k in chosen])


def _merge_some(purse: Purse, n: int) -> tuple[Indices, Array]:
    """Merge n random candidates linearly, or as many as can be afforded."""
    n = min(n, purse.affordable(purse.evaluation), len(purse.candidates))
    if n < 1:
        raise OverspentError("no merge can be afforded")
    chosen = purse.rng.choice(purse.candidates, n, replace=False)
    return chosen, np.array([purse.merge(int(k)) for k in chosen])


def _best_predicted(purse: Purse, predict: Callable[[Array], Array]) -> int:
    """The candidate of the best prediction; of equals any."""
    scores = objective(predict(purse.shares[purse.candidates]))
    return int(purse.rng.choice(purse.candidates[scores >= scores.max() - 1e-12]))


def _nearest(purse: Purse, target: Array) -> int:
    gaps = np.abs(purse.shares[purse.candidates] - target).sum(axis=1)
    return int(purse.candidates[np.argmin(gaps)])


RIVALS: tuple[Rival, ...] = (
    Rival("uniform", "what everyone trains on", pick_uniform),
    Rival("token-proportional", "what everyone trains on", pick_proportional),
    Rival("any mixture", "chance", pick_any),
    Rival("best of random runs", "", pick_best_run),
    Rival("RegMix, trees", "arXiv 2407.01492", by_regression(fit_trees)),
    Rival("RegMix, linear", "arXiv 2407.01492", by_regression(fit_line)),
    Rival("RegMix, small proxies", "arXiv 2407.01492", by_small_regression(fit_trees)),
    Rival("RegMix, small, linear", "arXiv 2407.01492", by_small_regression(fit_line)),
    Rival("log-linear law", "arXiv 2403.16952", pick_law),
    Rival("process on runs", "arXiv 2508.11551", by_regression(fit_noisy_process)),
    Rival("Merge to Mix", "arXiv 2505.16066", pick_merge_to_mix),
    Rival("best linear merge", "arXiv 2602.04937", pick_merged),
    Rival("MergeMix", "arXiv 2601.17858", pick_mergemix),
    Rival("DeMix", "arXiv 2602.00747", by_demix(1)),
    Rival("mixwise", "", by_mixwise(MERGED_SHARE)),
)

_LEAVES = (1, 3, 5)
VARIANTS: tuple[Rival, ...] = (
    *(
        Rival(
            f"RegMix, trees, {n} a leaf",
            "arXiv 2407.01492",
            by_regression(partial(fit_trees, settings=Trees(least_points=n))),
        )
        for n in _LEAVES
    ),
    *(
        Rival(
            f"RegMix, line, ridge {ridge:g}",
            "arXiv 2407.01492",
            by_regression(partial(fit_line, ridge=ridge)),
        )
        for ridge in (1e-3, 1e-2, 1e-1)
    ),
    *(Rival(f"DeMix, mean of {n}", "arXiv 2602.00747", by_demix(n)) for n in (1, 3, 6)),
    *(Rival(f"mixwise, {s:.0%} merges", "", by_mixwise(s)) for s in (0.3, 0.5, 0.8, 1.0)),
    Rival("mixwise, the largest score", "", by_mixwise(MERGED_SHARE, prefer="none")),
)
