"""Calibration: train the few mixtures that tell most about what the proxy misses.

Method:
    The centre of the space is trained first, then mixtures whose training is expected to save the
    most regret (`next_reference`), as long as that is more than a hundredth of a unit of the
    objective. What the proxy misses is learned from them and from all other references
    (`discrepancy`); a mixture's *corrected* score is the proxy's plus what it is expected to miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from mixwise.arrays import Array
from mixwise.decision.discrepancy import (
    Discrepancy,
    Trained,
    fit_discrepancy,
    prior_discrepancy,
)
from mixwise.decision.next_reference import choose_next
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.search.problem import SearchProblem, SearchResult, distinct, mixture_of
from mixwise.search.space.designs import centre
from mixwise.search.space.simplex import sample
from mixwise.search.surrogates.objective_model import Surface

LEAST_GAIN = 0.01  # units of the objective; below it a run is not worth its price
_N_CANDIDATES = 192
_N_SAMPLES = 4096


class RepeatedScorer(Protocol):
    """Trains mixtures, each with every one of its seeds."""

    def runs(self, mixtures: Sequence[Mixture]) -> tuple[tuple[Observation, ...], ...]:
        """One group of observations per mixture, one observation per seed."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """One mixture by both answers.

    Args:
        proxy: By the merged model.
        runs: By trained models, one per seed.
        expected_gain: Regret that training it was expected to save; None where it had no choice.
    """

    proxy: Observation
    runs: tuple[Observation, ...]
    expected_gain: float | None = None

    def trained(self, problem: SearchProblem) -> Trained:
        """Both scores by the problem's objective."""
        return Trained(
            shares=mixture_of(self.proxy).array,
            proxy=problem.measured(self.proxy),
            references=np.array([problem.measured(run) for run in self.runs]),
            seeds=tuple(seed for run in self.runs for seed in run.seeds),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A search's answer, and what references say of it.

    Args:
        problem: What was searched.
        found: The search's own answer.
        surface: The proxy's scores, interpolated.
        chosen: Mixtures trained for calibration, in their order.
        trained: All references, each mixture once.
        discrepancy: What the proxy is expected to miss; None without a reference.
    """

    problem: SearchProblem
    found: SearchResult
    surface: Surface
    chosen: tuple[Reference, ...]
    trained: tuple[Trained, ...]
    discrepancy: Discrepancy | None

    @property
    def posterior(self) -> Discrepancy:
        """What the proxy is expected to miss; without a reference, what is usual."""
        n_domains, continued = len(self.problem.space.domains), self.problem.continued
        return self.discrepancy or prior_discrepancy(n_domains, continued=continued)

    def value(self, shares: Array) -> Array:
        """Corrected score of mixtures, ``(n, n_domains)`` → ``(n,)``, as it is compared."""
        return np.asarray(self.surface.value(shares) + self.missed(shares))

    def missed(self, shares: Array) -> Array:
        """What the proxy is expected to miss of mixtures, ``(n,)``; zero without a reference."""
        return self.discrepancy.predict(shares)[0] if self.discrepancy else np.zeros(len(shares))


def train_in_turn(
    problem: SearchProblem,
    pool: Sequence[Mixture],
    surface: Surface,
    trainer: RepeatedScorer,
    *,
    n_mixtures: int,
    n_seeds: int,
    least_gain: float = LEAST_GAIN,
    known: Sequence[Reference] = (),
) -> tuple[Reference, ...]:
    """Train one mixture after the other, each chosen from what the others have shown.

    Args:
        problem: What is searched; its scorer gives the proxy's scores.
        pool: Mixtures that may be trained.
        surface: The proxy's scores, interpolated.
        trainer: Trains a mixture with each of its seeds.
        n_mixtures: At most so many; fewer where no more is worth it.
        n_seeds: Seeds of each.
        least_gain: Regret that a mixture must be expected to save, in units of the objective.
        known: References that there are already; without any the centre of the space comes first.

    Returns:
        The references that were trained, in their order.
    """
    chosen: list[Reference] = []
    while len(chosen) < n_mixtures:
        mixture, gain = centre(problem.space), None
        references = [*known, *chosen]
        if references:
            trained = [reference.trained(problem) for reference in references]
            discrepancy = fit_discrepancy(trained, continued=problem.continued)
            shares = np.array([candidate.shares for candidate in pool])
            missed, covariance = discrepancy.joint(shares)
            means = surface.value(shares) + missed
            taken = {str(reference.proxy.mixture) for reference in references}
            covariance[:, [str(candidate) in taken for candidate in pool]] = 0.0
            worth = choose_next(means, covariance, discrepancy.noise / np.sqrt(n_seeds))
            mixture, gain = pool[worth.index], worth.gain
            if gain <= least_gain:
                break
        [proxy] = problem.scorer.score([mixture])
        [runs] = trainer.runs([mixture])
        chosen.append(Reference(proxy, runs, gain))
    return tuple(chosen)


def training_pool(
    problem: SearchProblem, found: SearchResult, surface: Surface, *, is_of_subsets: bool
) -> tuple[Mixture, ...]:
    """Mixtures worth training: the best by the proxy among many, and the one that it recommends.

    Args:
        problem: What was searched.
        found: The search's answer.
        surface: The proxy's scores, interpolated.
        is_of_subsets: Whether only what was scored may be trained.
    """
    if is_of_subsets:
        return distinct([mixture_of(o) for o in found.scored])
    points = sample(problem.space, _N_SAMPLES, seed=problem.seed)
    order = np.argsort(-surface.value(points), kind="stable")[: 8 * _N_CANDIDATES : 8]
    best, space = mixture_of(found.best), problem.space
    if space.grid is not None:
        return distinct([space.trainable(point) for point in [best.array, *points[order]]])
    return distinct([best, *(space.rounded(point, 3) for point in points[order])])


def correct(
    problem: SearchProblem,
    found: SearchResult,
    surface: Surface,
    chosen: Sequence[Reference],
    others: Sequence[Reference] = (),
) -> Calibrated:
    """Learn from all references what the proxy misses.

    Args:
        problem: What was searched.
        found: The search's answer.
        surface: The proxy's scores, interpolated.
        chosen: Trained for calibration.
        others: Trained for something else, such as validation.
    """
    rows = [reference.trained(problem) for reference in (*chosen, *others)]
    trained = each_mixture_once(rows)
    discrepancy = None
    if trained:
        discrepancy = fit_discrepancy(trained, continued=problem.continued)
    return Calibrated(problem, found, surface, tuple(chosen), trained, discrepancy)


def each_mixture_once(trained: Sequence[Trained]) -> tuple[Trained, ...]:
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
