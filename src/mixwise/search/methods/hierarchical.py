"""Search many domains in two levels: joint shares of groups, and shares within each group.

Notation:
    N: domains.  G: groups.  n: free shares of a stage: G across groups, the members within one.
    B: budget.  J: objective.  R: its spread over all that is known.

Method:
    A stage searches one level by an inner method with everything else fixed
    (`mixwise.search.subspace`): first across the groups, then within each of them (top-down), or
    first within each and then across (bottom-up). Each begins at the best mixture so far; stages of
    groups without a share, or where the limits leave no choice, are left out. At the outset a
    group's members stand in proportion to the room between their bounds: alike where data are
    ample, by available tokens where repetition limits them. Groups then have the shares that are
    nearest to even, and where limits forbid that, the nearest mixture that they allow.

    Limits and the prior hold in every stage as they do in the whole. A limit that ties domains of
    several groups to each other is kept too, but one level at a time may be unable to move along
    it, and stop below the best mixture.

    B is divided over the stages by their n, each with n + 2 at least (corners, centre and a check
    of most inner methods), and what one does not use the others get. Without B a stage has the
    default below. Sweeps over all stages are repeated while one raises J by 0.2 % of R and B pays
    for another.

Source:
    Wang et al. 2026, MergeMix (arXiv 2601.17858), hierarchical search.

Departures:
    The paper does not say what a group is made of while the groups are searched, nor how B is
    divided. Its stages within the groups do not see each other; here each begins where the last
    one ended. The rows named after it keep one sweep and its inner method, the others have two
    sweeps of the default one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mixwise.domain_groups import DomainGroup
from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.observation import Observation
from mixwise.search.problem import (
    Design,
    SearchProblem,
    SearchResult,
    distinct,
    mixture_of,
    require_budget,
)
from mixwise.search.space.designs import centre
from mixwise.search.space.one_share import with_bounds
from mixwise.search.subspace import (
    RememberingScorer,
    Subspace,
    SubspaceScorer,
    across,
    inside,
)

Groups = tuple[DomainGroup, ...]
_CHECKS = 2  # mixtures beside its corners that a stage has at least
_STILL = 0.002  # share of R by which a sweep must raise J for another one


@dataclass(frozen=True, slots=True)
class Levels:
    """What tells the hierarchical methods apart.

    Args:
        name: Of the method.
        order: Which level is searched first.
        design: The inner method's.
        search: The inner method.
        most: Mixtures of a stage of n free shares, without a budget.
        n_sweeps: At most.
    """

    name: str
    order: Literal["top-down", "bottom-up"]
    design: Design
    search: Callable[[SearchProblem], SearchResult]
    most: Callable[[int], int]
    n_sweeps: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One search of a sweep: within a group, or across all of them.

    Args:
        group: The group; None across.
        n_free: n.
    """

    group: DomainGroup | None
    n_free: int

    @property
    def least(self) -> int:
        """Mixtures that it needs."""
        return self.n_free + _CHECKS

    def open(self, space: MixtureSpace, groups: Groups, at: Mixture) -> Subspace | None:
        """What it searches, from a mixture on; None where there is nothing to share."""
        if self.group is None:
            part: Subspace | None = across(space, groups, at)
        else:
            part = inside(space, self.group, at)
        return part if part is not None and part.has_room else None


def design_levels(
    levels: Levels, groups: Groups, space: MixtureSpace, budget: int | None, seed: int
) -> tuple[Mixture, ...]:
    """What the first stage scores before it has seen a result.

    Raises:
        RecipeError: If there are no groups, or the budget does not pay for every stage.
    """
    stages, space = stages_of(levels, groups, budget), with_bounds(space)
    part = stages[0].open(space, groups, start_of(space, groups))
    if part is None:
        return ()
    own = _budget_of(levels, stages, budget)
    return distinct([part.mixture(one) for one in levels.design(part.free, own, seed)])


def most_scored(levels: Levels, groups: Groups) -> int:
    """Mixtures that are scored at most, without a budget."""
    stages = stages_of(levels, groups, None)
    return levels.n_sweeps * sum(levels.most(stage.n_free) for stage in stages)


def search_levels(levels: Levels, problem: SearchProblem) -> SearchResult:
    """Search level by level.

    Raises:
        RecipeError: As `design_levels`.
    """
    stages = stages_of(levels, problem.groups, problem.budget)
    problem = replace(problem, space=with_bounds(problem.space))
    sweeps = _Sweeps(levels, problem, start_of(problem.space, problem.groups))
    for _ in range(levels.n_sweeps):
        before = sweeps.height
        sweeps.run(stages)
        if not sweeps.is_worth_another(before, stages):
            break
    scored = tuple(sweeps.scored.values()) or problem.scorer.score([sweeps.at])
    return SearchResult(levels.name, problem.best(scored), scored)


def stages_of(levels: Levels, groups: Groups, budget: int | None) -> tuple[Stage, ...]:
    """The stages of a sweep, in their order.

    Raises:
        RecipeError: If there are no groups, or the budget does not pay for every stage.
    """
    if not groups:
        raise RecipeError(
            f"`search.method: {levels.name}` needs groups of domains, but there are none: name "
            "them in `search.hierarchy`"
        )
    within = [Stage(group, len(group.members)) for group in groups if len(group.members) > 1]
    top = Stage(None, len(groups))
    stages = (top, *within) if levels.order == "top-down" else (*within, top)
    least = sum(stage.least for stage in stages)
    what = f"{len(stages)} stages of the method `{levels.name}`, of n + {_CHECKS} mixtures each"
    require_budget(budget, least, what)
    return stages


def start_of(space: MixtureSpace, groups: Groups) -> Mixture:
    """Even shares of the groups, as near as the space allows, their members by their room."""
    even = across(space, groups, None)
    return even.mixture(centre(even.free))


def _budget_of(levels: Levels, stages: Sequence[Stage], left: int | None) -> int:
    """Mixtures for the first of some stages that are left, of as many for all of them."""
    stage = stages[0]
    if left is None:
        return levels.most(stage.n_free)
    spare = left - sum(one.least for one in stages)
    return stage.least + spare * stage.n_free // sum(one.n_free for one in stages)


@dataclass(slots=True)
class _Sweeps:
    """A search under way.

    Args:
        levels: How it goes.
        problem: What is searched.
        at: The best mixture so far; at the outset one that is not scored yet.
        memory: Asks for nothing twice.
        scored: What the stages have scored, by mixture.
        n_stages: How many stages there were; each has a seed of its own.
    """

    levels: Levels
    problem: SearchProblem
    at: Mixture
    memory: RememberingScorer = field(init=False)
    scored: dict[str, Observation] = field(default_factory=dict)
    n_stages: int = 0

    def __post_init__(self) -> None:
        self.memory = RememberingScorer(self.problem.scorer)

    @property
    def left(self) -> int | None:
        """What is left of the budget."""
        budget = self.problem.budget
        return None if budget is None else budget - self.memory.n_asked

    @property
    def height(self) -> float:
        """Largest J so far."""
        return max(map(self.problem.value, self.scored.values()), default=float("-inf"))

    def run(self, stages: Sequence[Stage]) -> None:
        """One sweep."""
        for k, stage in enumerate(stages):
            part = stage.open(self.problem.space, self.problem.groups, self.at)
            self.n_stages += 1
            if part is not None:
                self._search(part, _budget_of(self.levels, stages[k:], self.left))

    def is_worth_another(self, before: float, stages: Sequence[Stage]) -> bool:
        """Whether the last sweep has raised J, and another can be paid."""
        scored = tuple(self.scored.values())
        is_paid = self.left is None or self.left >= sum(stage.least for stage in stages)
        if not scored:  # limits leave one mixture
            return False
        return is_paid and self.height - before > _STILL * self.problem.value_range(scored)

    def _search(self, part: Subspace, budget: int) -> None:
        scorer, problem = SubspaceScorer(part, self.memory), self.problem
        known = [
            part.reduce(one, place)
            for one in (*self.scored.values(), *problem.known)
            if (place := part.part(mixture_of(one))) is not None
        ]
        found = self.levels.search(
            replace(
                problem,
                scorer=scorer,
                space=part.free,
                budget=budget,
                seed=problem.seed + self.n_stages - 1,
                known=tuple(known),
                prior=None if problem.prior is None else part.pull(problem.prior),
                groups=(),
            )
        )
        wholes = [scorer.answers[str(mixture_of(one))] for one in found.scored]
        self.scored |= {str(one.mixture): one for one in wholes}
        self.at = mixture_of(problem.best(tuple(self.scored.values())))
