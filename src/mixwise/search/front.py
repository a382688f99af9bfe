"""Search for the Pareto front of groups of metrics, after the search for one objective.

Notation:
    F_k(λ): objective of the metrics of group k alone, k = 1..K, in spreads; larger is better.
    z_k, r_k: largest F_k, and by how much the ends of the front differ in it. An end is the mixture
    that is best for one group.
    w: direction, shares j / q that sum to 1.  ρ: 0.001.

Method:
    A mixture is on the front where none is better for one group and as good for all others. Each
    direction takes the mixture with the least

        max_k w_k (z_k − F_k) / r_k + ρ Σ_k (z_k − F_k) / r_k ,

    which finds parts of a front that bend inwards too, where weighted sums find none, and never
    takes a dominated mixture. It is sought on the surrogate (by a climb, the maximum rounded off
    as τ log Σ exp), scored, and sought once more on what that has taught. q is the distance of the
    farthest ends over 0.1, so that a longer front has more points, up to a limit.

Source:
    Steuer and Choo 1983 (Math. Program. 26): the augmented Chebyshev scalarisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from mixwise.arrays import Array
from mixwise.mixture import Mixture
from mixwise.objective import Objective
from mixwise.observation import Observation
from mixwise.search.method_table import METHODS
from mixwise.search.methods import listed
from mixwise.search.problem import SearchProblem, SearchResult, distinct, shares_of
from mixwise.search.space.simplex import climb, sample
from mixwise.search.space.vertices import extreme_points
from mixwise.search.surrogates.objective_model import Surface, fit_surface, smooth_objective

MOST_STEPS = {2: 12, 3: 5}  # q, by the number of groups: 13 and 21 directions
_APART = 0.1  # spreads between neighbours on the front
_SAME = 0.005  # spreads by which two points must differ in some group
_AUGMENTED = 1e-3  # ρ
_SOFTNESS = 0.005  # τ, in widths r_k
_ABOVE = 0.1  # widths by which z_k lies above all that is known, so that ends are climbed too
_ROUNDS = 2
_N_SAMPLES = 512
_N_STARTS = 4
_DECIMALS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """One group of a problem's metrics.

    Args:
        problem: Its metrics and scale.
        objective: Of the group alone.
    """

    problem: SearchProblem
    objective: Objective

    @property
    def tells(self) -> bool:
        """Whether any of its metrics differs between the experts."""
        spread = self.problem.scale.spread
        return any(spread[term.metric.name] > 0 for term in self.objective.terms)

    def gain(self, values: Array) -> Array:
        """F_k of the problem's metrics, ``(n, n_metrics)`` → ``(n,)``; 0 where nothing tells."""
        if not self.tells:
            return np.zeros(len(values))
        return self.objective.aggregate(values[:, self._columns], self.problem.scale)

    def ascent(self, values: Array, slopes: Array) -> tuple[Array, Array]:
        """F_k with its kinks rounded off, ``(n,)``, and its slopes, ``(n, n_domains)``."""
        if not self.tells:
            return np.zeros(len(values)), np.zeros((len(values), slopes.shape[-1]))
        own = replace(self.problem, objective=self.objective)
        return smooth_objective(own, values[:, self._columns], slopes[:, self._columns])

    @property
    def _columns(self) -> list[int]:
        names = [metric.name for metric in self.problem.objective.metrics]
        return [names.index(metric.name) for metric in self.objective.metrics]


def gains_of(groups: Sequence[Group], observations: Sequence[Observation]) -> Array:
    """F_k of observations, ``(n, K)``."""
    return _gains(groups, groups[0].problem.metric_values(observations))


def most_scored(n_groups: int) -> int:
    """Mixtures that are scored for a front of two or three groups, at most.

    Example:
        >>> most_scored(2), most_scored(3)
        (26, 42)
    """
    return _ROUNDS * len(_directions(n_groups, MOST_STEPS[n_groups]))


def search_front(
    groups: Sequence[Group],
    found: SearchResult,
    surface: Surface,
    known: Sequence[Observation],
) -> tuple[Observation, ...]:
    """Score what may lie on the front.

    Args:
        groups: Two or three, of one problem.
        found: What its search has found; where that scored listed mixtures or subsets alone, the
            front is looked for among them.
        surface: The surrogate that is fitted to it.
        known: Scored mixtures within the bounds.

    Returns:
        What was scored besides.
    """
    problem, new = groups[0].problem, list[Observation]()
    if found.method == listed.NAME or METHODS[found.method].is_of_subsets:
        return ()
    for _ in range(_ROUNDS):
        model = fit_surface(problem, [*found.scored, *new]) if new else surface
        taken = {str(o.mixture) for o in (*known, *new)}
        sought = _seek(groups, model, shares_of([*known, *new]))
        fresh = [mixture for mixture in sought if str(mixture) not in taken]
        new += problem.scorer.score(fresh, METHODS[found.method].request) if fresh else ()
    return tuple(new)


def choose_front(gains: Array) -> list[int]:
    """The mixture that each direction takes, those that hardly differ left out.

    Args:
        gains: F_k of some mixtures, ``(n, K)``.

    Returns:
        Their indices, the best for the first group first; of equals the first.

    Example:
        >>> choose_front(np.array([[0.0, 1.0], [0.4, 0.4], [0.5, 0.5], [1.0, 0.0]]))
        [3, 2, 0]
    """
    chosen: list[int] = []
    for row in _lost(gains, *_frame(gains)):
        k = int(row.argmin())
        if all(np.abs(gains[k] - gains[j]).max() >= _SAME for j in chosen):
            chosen.append(k)
    return sorted(chosen, key=lambda k: (-gains[k]).tolist())


def _gains(groups: Sequence[Group], values: Array) -> Array:
    return np.stack([group.gain(values) for group in groups], axis=1)


def _seek(groups: Sequence[Group], surface: Surface, near: Array) -> tuple[Mixture, ...]:
    """The mixture of each direction on the surface."""
    space, seed = groups[0].problem.space, groups[0].problem.seed
    points = np.concatenate(
        [near, extreme_points(space, 128, seed=seed), sample(space, _N_SAMPLES, seed=seed)]
    )
    gains = _gains(groups, surface.metrics(points))
    top, width, directions = _frame(gains)
    top = top + _ABOVE * width
    order = np.argsort(_lost(gains, top, width, directions), axis=1, kind="stable")[:, :_N_STARTS]
    starts, own = points[order.ravel()], np.repeat(directions, _N_STARTS, axis=0)

    def ascent(shares: Array) -> tuple[Array, Array]:
        predicted = [model.predict(shares) for model in surface.models]
        values = np.stack([row[0] for row in predicted], axis=1)
        slopes = np.stack([row[1] for row in predicted], axis=1)
        parts = [group.ascent(values, slopes) for group in groups]
        behind = (top - np.stack([part[0] for part in parts], axis=1)) / width
        rises = np.stack([part[1] for part in parts], axis=1) / width[:, None]
        largest = (own * behind).max(axis=1, keepdims=True)
        shifted = np.exp((own * behind - largest) / _SOFTNESS)
        total = shifted.sum(axis=1, keepdims=True)
        height = largest[:, 0] + _SOFTNESS * np.log(total[:, 0]) + _AUGMENTED * behind.sum(axis=1)
        pull = own * shifted / total + _AUGMENTED
        return -height, np.einsum("nk,nkd->nd", pull, rises)

    ends = np.concatenate([starts, climb(ascent, space, starts)])
    lost = _lost(_gains(groups, surface.metrics(ends)), top, width, directions)
    is_own = np.tile(np.repeat(np.eye(len(directions), dtype=bool), _N_STARTS, axis=1), 2)
    best = np.where(is_own, lost, np.inf).argmin(axis=1)
    return distinct([space.rounded(ends[k], _DECIMALS) for k in best])


def _frame(gains: Array) -> tuple[Array, Array, Array]:
    """z_k and r_k, both ``(K,)``, and the directions, ``(n_directions, K)``, ends first."""
    n_groups = gains.shape[1]
    top, width = gains.max(axis=0), np.maximum(np.ptp(gains, axis=0), _SAME)
    ends = gains[_lost(gains, top, width, np.eye(n_groups)).argmin(axis=1)]
    length = max(float(np.linalg.norm(one - other)) for one in ends for other in ends)
    n_steps = int(np.clip(np.ceil(length / _APART), 1, MOST_STEPS[n_groups]))
    return top, np.maximum(np.ptp(ends, axis=0), _SAME), _directions(n_groups, n_steps)


def _lost(gains: Array, top: Array, width: Array, directions: Array) -> Array:
    """What each direction makes small, ``(n_directions, n)``."""
    behind = (top - gains) / width
    return np.asarray((directions[:, None] * behind).max(axis=2) + _AUGMENTED * behind.sum(axis=1))


def _directions(n_groups: int, n_steps: int) -> Array:
    """Shares of n_groups in steps of 1 / n_steps, ``(n_directions, n_groups)``, corners first."""
    every = [row for row in product(range(n_steps + 1), repeat=n_groups) if sum(row) == n_steps]
    return np.array(sorted(every, key=lambda row: -(max(row) // n_steps))) / n_steps
