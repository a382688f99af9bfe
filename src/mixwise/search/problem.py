"""What every search is given, and what every search returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array
from mixwise.domain_groups import DomainGroup
from mixwise.errors import RecipeError
from mixwise.extrapolation import NOT_CONTINUED, ContinuationError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Objective, Scale
from mixwise.observation import Observation
from mixwise.prior import Pull
from mixwise.scorer import VALUES, Request, Scorer

Predict = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class SearchProblem:
    """A question to search an answer to.

    Args:
        scorer: Scores mixtures; proxy or reference, the search cannot tell.
        space: Where the answer must lie.
        objective: What to maximise.
        scale: Turns metric values into gains.
        budget: Largest number of mixtures to score, or None for the method's own.
        seed: Decides every random choice.
        known: Observations made before the search, such as those of the experts behind the scale;
            methods that learn from what they have seen start from them.
        continued: What continuing the scores to a longer horizon may miss of the objective.
        is_arithmetic: Whether a candidate and its slopes cost no forward pass.
        prior: A mixture that leaving costs, in every comparison; None for none.
        groups: Of the domains, for methods that search in levels.
    """

    scorer: Scorer
    space: MixtureSpace
    objective: Objective
    scale: Scale
    budget: int | None
    seed: int
    known: tuple[Observation, ...] = ()
    continued: ContinuationError = NOT_CONTINUED
    is_arithmetic: bool = False
    prior: Pull | None = None
    groups: tuple[DomainGroup, ...] = ()

    def measured(self, observation: Observation) -> float:
        """The objective of one observation."""
        return self.objective.value(observation.values, self.scale)

    def value(self, observation: Observation) -> float:
        """The objective of one observation, less what leaving the prior costs."""
        value = self.measured(observation)
        if self.prior is None or observation.mixture is None:
            return value
        return value - float(self.prior.penalty(observation.mixture.array[None])[0])

    def pulled(self, values: Array, shares: Array) -> Array:
        """Objectives ``(…, n)`` of shares ``(n, n_domains)``, less what leaving the prior costs."""
        return values if self.prior is None else values - self.prior.penalty(shares)

    def pulled_slopes(self, slopes: Array, shares: Array) -> Array:
        """Slopes of the objective, ``(n, n_domains)``, less those of leaving the prior."""
        return slopes if self.prior is None else slopes - self.prior.slopes(shares)

    def metric_values(self, observations: Sequence[Observation]) -> Array:
        """The objective's metrics of observations, shape ``(n, n_metrics)``, in their own units."""
        names = [metric.name for metric in self.objective.metrics]
        rows = [observation.values for observation in observations]
        return np.array([[row[name] for name in names] for row in rows])

    def best(self, observations: Sequence[Observation]) -> Observation:
        """The observation with the largest objective inside the space; the first of equals.

        Raises:
            RecipeError: If none lies inside.
        """
        inside = [
            o for o in observations if o.mixture is not None and self.space.contains(o.mixture)
        ]
        if not inside:
            raise RecipeError(
                "none of the scored mixtures lies within the limits of the search: widen them or "
                "use the method `lattice`"
            )
        return max(inside, key=self.value)

    def value_range(self, observations: Sequence[Observation]) -> float:
        """Largest less smallest objective of observations and of what was known before."""
        values = [self.value(o) for o in (*observations, *self.known)]
        return max(values) - min(values)

    def objective_of(self, surrogate: Predict) -> Predict:
        """What a surrogate predicts of `value`: shares ``(n, n_domains)`` → ``(n,)``."""
        return lambda points: self.pulled(
            self.objective.aggregate(surrogate(points), self.scale), points
        )

    def predicted(self, surrogate: Predict, observation: Observation) -> float:
        """The objective that a surrogate gives for the mixture of an observation."""
        metrics = surrogate(shares_of([observation]))
        return float(self.objective.aggregate(metrics, self.scale)[0])


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Args:
        method: Name of the method.
        best: The recommended mixture's observation.
        scored: Everything that was scored, in order.
        predicted: Objective that the last surrogate gives for the recommendation, None without one.
    """

    method: str
    best: Observation
    scored: tuple[Observation, ...]
    predicted: float | None = None


Design = Callable[[MixtureSpace, int | None, int], tuple[Mixture, ...]]


@dataclass(frozen=True, slots=True)
class SearchMethod:
    """A search method, a row of the table.

    Args:
        name: Name in recipes.
        source: Where it comes from.
        design: Space, budget and seed → the mixtures that it scores before it has seen a result;
            raises RecipeError where the method or the budget does not fit the space.
        search: The function.
        n_checks: Mixtures that it scores after the design, at most, without a budget.
        request: What it asks of mixtures; of all of them, or less.
        is_of_subsets: Whether it answers with plain averages of subsets only.
        over: What the row becomes over groups of domains, whose design and checks depend on them;
            None for a method that knows no groups.
    """

    name: str
    source: str
    design: Design
    search: Callable[[SearchProblem], SearchResult]
    n_checks: int
    request: Request = VALUES
    is_of_subsets: bool = False
    over: Callable[[tuple[DomainGroup, ...]], SearchMethod] | None = None


def shares_of(observations: Sequence[Observation]) -> Array:
    """The mixtures of observations, shape ``(n, n_domains)``."""
    return np.array([o.mixture.shares for o in observations if o.mixture is not None])


def mixture_of(observation: Observation) -> Mixture:
    """The mixture of an observation that is known to have one."""
    assert observation.mixture is not None
    return observation.mixture


def require_budget(budget: int | None, least: int, what: str) -> None:
    """Refuse a budget that a method cannot work with.

    Raises:
        RecipeError: If there is a budget and it is smaller than the least.
    """
    if budget is not None and budget < least:
        raise RecipeError(
            f"`search.budget` must be at least {least} for {what}, but got {budget}: raise it"
        )


def distinct(mixtures: Sequence[Mixture]) -> tuple[Mixture, ...]:
    """Drop repeats, keeping the first of each."""
    by_key: Mapping[str, Mixture] = {str(m): m for m in reversed(mixtures)}
    return tuple(dict.fromkeys(by_key[str(m)] for m in mixtures))
