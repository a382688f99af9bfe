from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.arrays import Array
from mixwise.domain_groups import DomainGroup
from mixwise.mixture import Limit, Mixture, MixtureSpace
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.prior import Prior
from mixwise.scorer import SLOPES, VALUES, Request
from mixwise.search.space.simplex import sample
from mixwise.search.subspace import (
    RememberingScorer,
    SubspaceScorer,
    across,
    inside,
    tied_limits,
)

DOMAINS = ("a", "b", "c", "d", "e")
GROUPS = (DomainGroup("ab", ("a", "b")), DomainGroup("cd", ("c", "d")), DomainGroup("e", ("e",)))
WHOLE = MixtureSpace.whole(DOMAINS)
BOUNDED = MixtureSpace(DOMAINS, (0.1, 0.0, 0.05, 0.0, 0.0), (0.3, 0.2, 0.6, 0.3, 0.5))

LIMITED = MixtureSpace(
    DOMAINS,
    (0.1, 0.0, 0.05, 0.0, 0.0),
    (0.5, 1.0, 0.6, 1.0, 0.5),
    (
        Limit("ab", (1, 1, 0, 0, 0), 0.2, 0.6),
        Limit("c >= d", (0, 0, 1, -1, 0), 0.0, None),
        Limit("e <= a + b / 2", (-1, -0.5, 0, 0, 1), None, 0.0),
    ),
)


class Quadratic:
    """x = cᵀλ + λᵀHλ / 2, with exact derivatives; remembers what it was asked."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        root = rng.normal(size=(5, 5))
        self.c, self.h = rng.normal(size=5), root @ root.T
        self.asked: list[str] = []

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        self.asked += map(str, mixtures)
        return tuple(self._observe(m, request) for m in mixtures)

    def _observe(self, mixture: Mixture, request: Request) -> Observation:
        x = mixture.array
        value = self.c @ x + x @ self.h @ x / 2
        slopes = self.c + self.h @ x
        found = Derivatives(slopes, self.h, slopes[None], self.h[None]) if request.order else None
        one = Measurement("x/loss", np.array([value]), np.ones(1), found)
        return Observation(mixture, "proxy", "linear", (), (one,), 0, 0, 0, str(mixture))


def mixture(shares: Array) -> Mixture:
    return Mixture(DOMAINS, tuple(shares / shares.sum()))


def test_groups_without_data_limits_are_even_inside_at_first() -> None:
    part = across(WHOLE, GROUPS, None)
    assert part.free == MixtureSpace.whole(("ab", "cd", "e"))
    found = part.mixture(Mixture(("ab", "cd", "e"), (0.5, 0.3, 0.2)))
    assert found.shares == pytest.approx((0.25, 0.25, 0.15, 0.15, 0.2))


def test_a_group_fills_from_its_lower_to_its_upper_bounds_alike() -> None:
    part = across(BOUNDED, GROUPS, None)
    assert part.free.lower == pytest.approx((0.1, 0.05, 0.0))
    assert part.free.upper == pytest.approx((0.5, 0.9, 0.5))
    full = part.mixture(Mixture(("ab", "cd", "e"), (0.5, 0.5, 0.0)))
    assert full.shares[:2] == pytest.approx((0.3, 0.2))
    assert part.mixture(Mixture(("ab", "cd", "e"), (0.1, 0.9, 0.0))).shares == pytest.approx(
        (0.1, 0.0, 0.6, 0.3, 0.0)
    )


def test_later_a_group_keeps_the_proportions_that_it_has() -> None:
    at = mixture(np.array([0.3, 0.1, 0.2, 0.0, 0.4]))
    part = across(WHOLE, GROUPS, at)
    found = part.mixture(Mixture(("ab", "cd", "e"), (0.2, 0.8, 0.0)))
    assert found.shares == pytest.approx((0.15, 0.05, 0.8, 0.0, 0.0))


def test_a_group_without_a_share_grows_as_at_first() -> None:
    part = across(WHOLE, GROUPS, mixture(np.array([0.0, 0.0, 0.2, 0.3, 0.5])))
    found = part.mixture(Mixture(("ab", "cd", "e"), (1.0, 0.0, 0.0)))
    assert found.shares == pytest.approx((0.5, 0.5, 0.0, 0.0, 0.0))


def test_a_fixed_group_stays() -> None:
    space = MixtureSpace(DOMAINS, (0.2, 0.1, 0, 0, 0), (0.2, 0.1, 1, 1, 1))
    part = across(space, GROUPS, None)
    assert (part.free.lower[0], part.free.upper[0]) == pytest.approx((0.3, 0.3))
    found = part.mixture(Mixture(("ab", "cd", "e"), (0.3, 0.7, 0.0)))
    assert found.shares == pytest.approx((0.2, 0.1, 0.35, 0.35, 0.0))


def test_inside_a_group_nothing_else_moves() -> None:
    at = mixture(np.array([0.3, 0.1, 0.2, 0.0, 0.4]))
    part = inside(WHOLE, GROUPS[0], at)
    assert part is not None
    assert part.mixture(Mixture(("a", "b"), (0.25, 0.75))).shares == pytest.approx(
        (0.1, 0.3, 0.2, 0.0, 0.4)
    )
    assert inside(WHOLE, GROUPS[0], mixture(np.array([0, 0, 0.5, 0.5, 0]))) is None


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([WHOLE, BOUNDED, LIMITED]))
def test_all_of_a_subspace_lies_in_the_space_and_comes_back(seed: int, space: MixtureSpace) -> None:
    at = mixture(sample(space, 1, seed=seed)[0])
    parts = [across(space, GROUPS, at)]
    parts += [] if space.limits else [across(space, GROUPS, None)]
    parts += [p for p in (inside(space, group, at) for group in GROUPS[:2]) if p is not None]
    for part in parts:
        for z in sample(part.free, 5, seed=seed):
            own = Mixture(part.free.domains, tuple(z / z.sum()))
            found = part.mixture(own)
            assert space.contains(found)
            back = part.part(found)
            assert back is not None
            assert part.mixture(back).array == pytest.approx(found.array, abs=1e-5)
    for part in (parts[0], *parts[1 if space.limits else 2 :]):  # what was known stays known
        here = part.part(at)
        assert here is not None
        assert part.mixture(here).array == pytest.approx(at.array, abs=1e-5)


def test_a_limit_of_groups_and_of_members_by_hand() -> None:
    at = mixture(np.array([0.3, 0.1, 0.4, 0.0, 0.2]))
    joint = Limit("ab <= 2 cd", (1, 1, -2, -2, 0), None, 0.0)
    own = Limit("a <= 0.35", (1, 0, 0, 0, 0), None, 0.35)
    kept = Limit("b <= 0.5", (0, 1, 0, 0, 0), None, 0.5)
    space = replace(WHOLE, limits=(joint, own, kept))
    part = across(space, GROUPS, at)
    assert [limit.name for limit in part.free.limits] == ["ab <= 2 cd"]
    assert part.free.limits[0].coefficients == pytest.approx((1, -2, 0))
    assert part.free.upper == pytest.approx((0.35 / 0.75, 1, 1))  # a limit of one is a bound
    part = inside(space, GROUPS[0], at)  # a and b have 0.4 together: b <= 0.5 is kept anyway
    assert part is not None
    assert not part.free.limits
    assert part.free.upper == pytest.approx((0.35 / 0.4, 1))
    fixed = replace(WHOLE, limits=(Limit("a + c = 0.7", (1, 0, 1, 0, 0), 0.7, 0.7),))
    part = inside(fixed, GROUPS[0], at)
    assert part is not None
    assert (part.free.lower[0], part.free.upper[0]) == pytest.approx((0.75, 0.75))
    assert not part.has_room


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_a_part_allows_what_the_whole_allows(seed: int) -> None:
    at = mixture(sample(LIMITED, 1, seed=seed)[0])
    for part in (across(LIMITED, GROUPS, at), inside(LIMITED, GROUPS[1], at)):
        if part is None:
            continue
        for z in np.random.default_rng(seed).dirichlet(np.ones(len(part.free.domains)), 20):
            own = Mixture(part.free.domains, tuple(z))
            shares = part.origin + part.directions @ own.array
            ends = [limit.missed(shares) for limit in LIMITED.limits]
            below = (np.asarray(LIMITED.lower) - shares).max()
            above = (shares - np.asarray(LIMITED.upper)).max()
            missed = max(*ends, below, above)
            if abs(missed) > 1e-4:  # not at an end itself, where tolerances decide
                assert part.free.contains(own) == (missed <= 0)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_what_leaving_a_prior_costs_is_the_same_in_a_part(seed: int) -> None:
    prior = Prior(mixture(np.array([0.1, 0.3, 0.2, 0.2, 0.2])), 0.7)
    at = mixture(sample(WHOLE, 1, seed=seed)[0])
    for part in (across(LIMITED, GROUPS, at), inside(WHOLE, GROUPS[1], at)):
        if part is None:
            continue
        pull, n = part.pull(prior), len(part.free.domains)
        z = np.random.default_rng(seed).dirichlet(np.full(n, 3.0)) * 0.9 + 0.1 / n
        own = Mixture(part.free.domains, tuple(z))
        whole = part.origin + part.directions @ own.array
        assert pull.penalty(own.array[None]) == pytest.approx(prior.penalty(whole[None]))
        if whole.min() < 1e-3:  # too steep for differences
            continue
        steps = 1e-6 * np.eye(n)
        by_differences = (pull.penalty(own.array + steps) - pull.penalty(own.array - steps)) / 2e-6
        assert pull.slopes(own.array[None])[0] == pytest.approx(by_differences, abs=1e-5)


def test_a_mixture_elsewhere_has_no_place_in_it() -> None:
    part = across(WHOLE, GROUPS, None)
    assert part.part(mixture(np.array([0.3, 0.1, 0.2, 0.2, 0.2]))) is None


@given(st.integers(0, 10**6))
def test_derivatives_follow_the_chain_rule(seed: int) -> None:
    at = mixture(sample(WHOLE, 1, seed=seed)[0])
    truth = Quadratic()
    for part in (across(WHOLE, GROUPS, at), inside(WHOLE, GROUPS[1], at)):
        if part is None:
            continue
        scorer = SubspaceScorer(part, truth)
        n = len(part.free.domains)
        point = Mixture(part.free.domains, tuple(np.random.default_rng(seed).dirichlet(np.ones(n))))
        [found] = scorer.score([point], Request(order=2))
        derivatives = found.measurements[0].derivatives
        assert derivatives is not None
        assert derivatives.hessian is not None
        assert derivatives.example_slopes is not None
        assert derivatives.example_hessians is not None
        a, x = part.directions, part.mixture(point).array
        by_hand = [(truth.c + truth.h @ x) @ a[:, k] for k in range(n)]
        assert derivatives.slopes == pytest.approx(by_hand)
        assert derivatives.example_slopes[0] == pytest.approx(by_hand)
        assert derivatives.hessian == pytest.approx(a.T @ truth.h @ a)
        assert derivatives.example_hessians[0] == pytest.approx(a.T @ truth.h @ a)
        assert scorer.answers[str(point)].mixture == part.mixture(point)


def test_nothing_is_asked_twice_unless_more_is_wanted() -> None:
    truth = Quadratic()
    scorer, uniform = RememberingScorer(truth), Mixture.uniform(DOMAINS)
    scorer.score([uniform], SLOPES)
    [again] = scorer.score([uniform])
    assert again.measurements[0].derivatives is not None
    scorer.score([Mixture.single(DOMAINS, "a"), uniform])
    assert scorer.n_asked == 2
    scorer.score([Mixture.single(DOMAINS, "a")], SLOPES)
    assert truth.asked.count("a=1") == 2


TIES = (
    Limit("one share", (1, 0, 0, 0), None, 0.3),
    Limit("within", (2, -1, 0, 0), 0.0, None),
    Limit("within, as others are alike", (3, 1, 1, 1), 1.2, None),
    Limit("joint", (1, 1, 0, 0), 0.2, 0.6),
    Limit("tied", (1, 0, -1, 0), 0.0, 0.0),
    Limit("a joint share and its proportions", (3, 2, 0, 0), 1.0, None),
    Limit("the same, as others are alike", (4, 3, 1, 1), 2.0, None),
    Limit("cost", (4, 3, 1, 0), None, 2.0),
)


def test_limits_that_no_level_moves_along_are_named() -> None:
    groups = (DomainGroup("x", ("a", "b")), DomainGroup("y", ("c", "d")))
    space = MixtureSpace(tuple("abcd"), (0.0,) * 4, (1.0,) * 4, TIES)
    assert tied_limits(space, groups) == (
        "tied",
        "a joint share and its proportions",
        "the same, as others are alike",
        "cost",
    )
