"""DeMix: rounds of random mixtures, chosen by what a regressor predicts of them.

Method:
    Three rounds of 4 : 2 : 1, 64 + 32 + 16 by default. After each round LightGBM is fitted
    to every mixture's mean rank over the metrics; the next round takes the best predicted of a
    pool of random mixtures. The last mixture of the last round is the mean of the 128 best
    predicted, which the paper recommends.

Source:
    Li et al. 2026 (arXiv 2602.00747), section on the algorithm: 64 + 32 + 16 merges, LightGBM with
    learning rate 0.02 and 300 rounds, mean rank as the target, mean of the top 128.

Departures:
    Uniform sampling as the text says, not the published code's prior around natural shares; 8,192
    pool points instead of 200,000; ranks are weighted as the objective's metrics are; the best that
    was scored is recommended.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.observation import Observation
from mixwise.search.methods.trust_region import is_taken
from mixwise.search.problem import Predict, SearchProblem, SearchResult, require_budget, shares_of
from mixwise.search.space.designs import low_discrepancy
from mixwise.search.space.simplex import sample
from mixwise.search.surrogates.regressors import fit_trees

N_DEMIX = 112
_POOL = 8192
_TOP = 128
_LEAST = 7  # 4 + 2 + 1


def design_demix(space: MixtureSpace, budget: int | None, seed: int) -> tuple[Mixture, ...]:
    """The first round.

    Raises:
        RecipeError: If the budget is too small for three rounds.
    """
    require_budget(budget, _LEAST, "three rounds of the method `demix`")
    return low_discrepancy(space, _rounds(budget)[0], seed=seed)


def search_demix(problem: SearchProblem) -> SearchResult:
    """Score three rounds, each where the regressor of the last ones predicts the best rank.

    Raises:
        RecipeError: As `design_demix`.
    """
    scored = list(problem.scorer.score(design_demix(problem.space, problem.budget, problem.seed)))
    _, second, third = _rounds(problem.budget)
    for n in (second, third - 1):
        chosen = _best_predicted(problem, scored, n)
        scored.extend(problem.scorer.score(chosen) if chosen else ())
    final = _mean_of_top(problem, scored)
    if not is_taken(final, scored):
        scored.extend(problem.scorer.score([final]))
    return SearchResult("demix", problem.best(scored), tuple(scored))


def _rounds(budget: int | None) -> tuple[int, int, int]:
    total = budget or N_DEMIX
    second, third = round(total * 2 / 7), round(total / 7)
    return total - second - third, second, third


def _best_predicted(
    problem: SearchProblem, scored: Sequence[Observation], n: int
) -> tuple[Mixture, ...]:
    pool = sample(problem.space, _POOL, seed=problem.seed + len(scored))
    chosen: list[Mixture] = []
    for index in np.argsort(-_fit_ranks(problem, scored)(pool)[:, 0], kind="stable"):
        if len(chosen) == n:
            break
        mixture = problem.space.rounded(pool[index], 3)
        if mixture not in chosen and not is_taken(mixture, scored):
            chosen.append(mixture)
    return tuple(chosen)


def _mean_of_top(problem: SearchProblem, scored: Sequence[Observation]) -> Mixture:
    pool = sample(problem.space, _POOL, seed=problem.seed + len(scored))
    best = np.argsort(-_fit_ranks(problem, scored)(pool)[:, 0], kind="stable")[:_TOP]
    return problem.space.rounded(pool[best].mean(axis=0), 3)


def _fit_ranks(problem: SearchProblem, scored: Sequence[Observation]) -> Predict:
    """Trees from shares to the mean rank over the metrics; larger is better."""
    from scipy.stats import rankdata  # a second to import, and `check` does without it

    gains = problem.objective.gains(problem.metric_values(scored), problem.scale)
    weight = problem.objective.weights
    ranks = rankdata(gains, axis=0) @ (weight / weight.sum())
    return fit_trees(shares_of(scored), ranks[:, None], seed=problem.seed)
