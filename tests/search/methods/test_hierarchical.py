from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from mixwise.arrays import Array
from mixwise.domain_groups import DomainGroup
from mixwise.errors import RecipeError
from mixwise.mixture import Limit, Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.scorer import VALUES, Request
from mixwise.search.method_table import (
    BOTTOM_UP,
    MERGEMIX_TOP_DOWN,
    METHODS,
    TOP_DOWN,
    method_for,
)
from mixwise.search.methods.hierarchical import most_scored, stages_of, start_of
from mixwise.search.problem import SearchProblem, SearchResult

NAMES = ("top-down", "bottom-up", "mergemix-top-down", "mergemix-bottom-up")
DOMAINS = tuple("abcdef")
GROUPS = tuple(DomainGroup(f"g{k}", DOMAINS[2 * k : 2 * k + 2]) for k in range(3))
METRIC = Metric("x", "loss", "min")
OBJECTIVE = Objective((Term(METRIC, 1.0),))
SCALE = Scale({"x/loss": 0.0}, {"x/loss": 1.0})
BEST = np.array([0.25, 0.05, 0.4, 0.0, 0.1, 0.2])


@dataclass
class Bowl:
    """4 ‖λ − best‖², with slopes unless it is told to have none."""

    best: Array
    has_slopes: bool = True
    asked: list[Mixture] = field(default_factory=list)

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        self.asked += mixtures
        return tuple(self._observe(mixture, request) for mixture in mixtures)

    def _observe(self, mixture: Mixture, request: Request) -> Observation:
        off = mixture.array - self.best
        slopes = Derivatives(8 * off) if request.order and self.has_slopes else None
        one = Measurement("x/loss", np.array([4 * float(off @ off)]), np.ones(1), slopes)
        return Observation(mixture, "proxy", "linear", (), (one,), 0, 0, 0, str(mixture))


def search(
    name: str, scorer: Bowl, space: MixtureSpace | None = None, budget: int | None = None
) -> SearchResult:
    space = space or MixtureSpace.whole(DOMAINS)
    return METHODS[name].search(
        SearchProblem(scorer, space, OBJECTIVE, SCALE, budget, 0, groups=GROUPS)
    )


def loss(result: SearchResult) -> float:
    return -OBJECTIVE.value(result.best.values, SCALE)


@pytest.mark.parametrize("name", NAMES[:2])
@pytest.mark.parametrize("has_slopes", [True, False])
def test_the_optimum_of_a_bowl_is_nearly_found(name: str, has_slopes: bool) -> None:
    assert loss(search(name, Bowl(BEST, has_slopes))) < (0.01 if has_slopes else 0.05)


@pytest.mark.parametrize("name", NAMES)
def test_bounds_of_domains_hold_everywhere(name: str) -> None:
    space = MixtureSpace(DOMAINS, (0.05, *[0.0] * 5), (0.15, 0.02, 1.0, 0.2, 1.0, 0.3))
    scorer = Bowl(BEST)
    found = search(name, scorer, space)
    assert all(space.contains(mixture) for mixture in scorer.asked)
    assert loss(found) < loss(search("random", Bowl(BEST), space, 20))


LIMITED = MixtureSpace(
    DOMAINS,
    (0.0,) * 6,
    (1.0,) * 6,
    (
        Limit("g1 <= 0.25", (0, 0, 1, 1, 0, 0), None, 0.25),  # 0.4 would be best
        Limit("b >= 0.6 a", (-0.6, 1, 0, 0, 0, 0), 0.0, None),  # 0.2 would be
    ),
)


def lowest(best: Array, space: MixtureSpace) -> float:
    """The smallest 4 ‖λ − best‖² in a space."""
    return 4 * float(((space.mixture(best).array - best) ** 2).sum())


@pytest.mark.parametrize("name", NAMES[:2])
def test_limits_within_and_across_groups_hold_and_bind(name: str) -> None:
    scorer = Bowl(BEST)
    found = search(name, scorer, LIMITED)
    assert all(LIMITED.contains(mixture) for mixture in scorer.asked)
    assert loss(found) < lowest(BEST, LIMITED) + 0.01
    assert found.best.mixture is not None
    assert LIMITED.limits[0].value(found.best.mixture.array) == pytest.approx(0.25, abs=0.02)


def test_the_start_is_the_nearest_mixture_to_even_that_limits_allow() -> None:
    start = start_of(LIMITED, GROUPS)
    assert LIMITED.contains(start)
    assert start.array == pytest.approx(LIMITED.mixture(np.full(6, 1 / 6)).array, abs=1e-6)


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_limit_of_one_share_does_not_hold_its_group(name: str) -> None:
    third = Limit("a = 1/3", (1, 0, 0, 0, 0, 0), 1 / 3, 1 / 3)
    space = replace(MixtureSpace.whole(DOMAINS), limits=(third,))
    scorer = Bowl(BEST)
    found = search(name, scorer, space)
    assert all(space.contains(mixture, tolerance=1e-8) for mixture in scorer.asked)
    assert loss(found) < lowest(BEST, space) + 0.01


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_limit_that_ties_groups_together_holds(name: str) -> None:
    tied = Limit("a = c + 0.1", (1, 0, -1, 0, 0, 0), 0.1, 0.1)
    space = replace(MixtureSpace.whole(DOMAINS), limits=(tied,), grid=0.1)
    scorer = Bowl(BEST)
    found = search(name, scorer, space)
    assert all(space.contains(mixture) for mixture in scorer.asked)
    assert loss(found) < 4 * float(((start_of(space, GROUPS).array - BEST) ** 2).sum())


@pytest.mark.parametrize("name", NAMES)
def test_limits_that_leave_one_mixture_give_it(name: str) -> None:
    only = tuple(
        Limit(f"{one} = {share}", tuple(np.eye(6)[k]), share, share)
        for k, (one, share) in enumerate(zip(DOMAINS, BEST.tolist(), strict=True))
    )
    found = search(name, Bowl(BEST), replace(MixtureSpace.whole(DOMAINS), limits=only))
    assert found.best.mixture is not None
    assert found.best.mixture.array == pytest.approx(BEST, abs=1e-6)


def test_top_down_begins_across_and_bottom_up_within() -> None:
    start = start_of(MixtureSpace.whole(DOMAINS), GROUPS)
    assert start.shares == pytest.approx([1 / 6] * 6)
    top, bottom = Bowl(BEST), Bowl(BEST)
    search("top-down", top)
    search("bottom-up", bottom)
    inner = [mixture.array.reshape(3, 2) for mixture in top.asked[:2]]
    assert all(np.ptp(rows, axis=1) == pytest.approx(0, abs=1e-6) for rows in inner)
    moved = bottom.asked[1].array.reshape(3, 2)
    assert np.ptp(moved[0]) > 0.01
    assert moved.sum(axis=1) == pytest.approx([1 / 3] * 3)


def test_each_level_finds_its_own_optimum_by_hand() -> None:
    """Groups of joint shares .5, .3, .2 that are even inside: top-down needs one level alone."""
    best = np.repeat([0.5, 0.3, 0.2], 2) / 2
    scorer = Bowl(best)
    assert loss(search("top-down", scorer)) < 1e-4


def test_a_group_without_a_share_is_not_looked_into() -> None:
    scorer = Bowl(np.array([0.3, 0.2, 0.3, 0.2, -0.2, -0.2]))  # pushes the last group out
    search("top-down", scorer)
    assert not any(np.ptp(m.array[4:]) > 1e-6 for m in scorer.asked)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", [17, 24])
def test_a_budget_is_kept_and_its_rest_is_used(name: str, budget: int) -> None:
    scorer = Bowl(BEST, has_slopes=False)
    search(name, scorer, budget=budget)
    assert len(scorer.asked) <= budget
    assert len({str(m) for m in scorer.asked}) == len(scorer.asked)
    if name.startswith("mergemix"):
        assert len(scorer.asked) >= budget - 4  # one stage may meet what is known


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_that_does_not_pay_for_every_stage_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=r"`search\.budget` must be at least 17 for 4 stages"):
        search(name, Bowl(BEST), budget=16)
    with pytest.raises(RecipeError, match="at least 17 for 4 stages"):
        method_for(name, OBJECTIVE, GROUPS).design(MixtureSpace.whole(DOMAINS), 16, 0)


@pytest.mark.parametrize("name", NAMES)
def test_without_groups_there_are_no_levels(name: str) -> None:
    with pytest.raises(RecipeError, match=rf"`search.method: {name}` needs groups of domains"):
        METHODS[name].design(MixtureSpace.whole(DOMAINS), None, 0)


def test_groups_of_one_have_no_stage() -> None:
    alone = (DomainGroup("a", ("a",)), DomainGroup("rest", DOMAINS[1:]))
    assert [stage.n_free for stage in stages_of(TOP_DOWN, alone, None)] == [2, 5]
    assert [stage.n_free for stage in stages_of(BOTTOM_UP, alone, None)] == [5, 2]


def test_the_most_that_is_scored_is_known_beforehand() -> None:
    assert most_scored(TOP_DOWN, GROUPS) == 2 * (3 + 8 + 3 * (2 + 8))
    assert most_scored(MERGEMIX_TOP_DOWN, GROUPS) == 4 * 40
    for name in NAMES:
        scorer = Bowl(BEST, has_slopes=False)
        search(name, scorer)
        row = method_for(name, OBJECTIVE, GROUPS)
        design = row.design(MixtureSpace.whole(DOMAINS), None, 0)
        assert tuple(scorer.asked[: len(design)]) == design
        assert len(scorer.asked) <= row.n_checks
