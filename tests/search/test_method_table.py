import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from operator import attrgetter

import numpy as np
import pytest
from scipy.optimize import minimize
from tests.polytope.families import random_space

from mixwise import registry
from mixwise.arrays import Array
from mixwise.domain_groups import DomainGroup
from mixwise.errors import RecipeError
from mixwise.mixture import Limit, Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.prior import Prior
from mixwise.recipe.sections import Search
from mixwise.registry import Table
from mixwise.scorer import SLOPES, VALUES, Request
from mixwise.search import method_table
from mixwise.search.exact import find_gap
from mixwise.search.method_table import METHODS, choose, method_for, register_method
from mixwise.search.problem import (
    SearchMethod,
    SearchProblem,
    SearchResult,
    distinct,
    shares_of,
)
from mixwise.search.space.designs import centre
from mixwise.search.space.simplex import sample
from mixwise.search.space.vertices import list_vertices
from mixwise.search.surrogates.regressors import fit_quadratic, fit_trees

DOMAINS = ("a", "b", "c", "d")
WHOLE = MixtureSpace.whole(DOMAINS)
BOUNDED = MixtureSpace(DOMAINS, (0.1, 0.0, 0.0, 0.0), (0.6, 0.5, 0.35, 1.0))
LIMITED = MixtureSpace(
    DOMAINS,
    (0.05, 0.0, 0.0, 0.0),
    (1.0, 1.0, 0.35, 1.0),
    (
        Limit("a + b", (1.0, 1.0, 0.0, 0.0), 0.3, 0.5),
        Limit("d >= a", (-1.0, 0.0, 0.0, 1.0), 0.0, None),
        Limit("d <= 1.2 c", (0.0, 0.0, -1.2, 1.0), None, 0.0),
    ),
)
SPACE_NAMES = ("whole", "bounded", "limited")
SPACES = pytest.mark.parametrize("space", [WHOLE, BOUNDED, LIMITED], ids=SPACE_NAMES)
ROWS = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
NAME = attrgetter("name")
SUBSETS = ("subsets", "subsets-fast", "subsets-race")
WHOLES = pytest.mark.parametrize(  # a race asks for parts of the examples, again and again
    "method", [m for n, m in METHODS.items() if n != "subsets-race"], ids=NAME
)
BUDGETS = {
    "auto": 8,
    "slopes": 3,
    "newton": 3,
    "mirror": 3,
    "bayes": 8,
    "lattice": 12,
    "mergemix": 20,
    "demix": 21,
    "random": 5,
    "subsets": 15,
    "subsets-fast": 5,
    "subsets-race": 15,
    "top-down": 12,
    "bottom-up": 12,
    "mergemix-top-down": 20,
    "mergemix-bottom-up": 20,
}
LEAST = {"slopes": 2, "newton": 2, "mirror": 2, "bayes": 6, "auto": 6, "demix": 7} | {
    "lattice": 11,
    "mergemix": 6,
    "subsets": 15,
    "subsets-fast": 2,
    "subsets-race": 15,
    "top-down": 12,
    "bottom-up": 12,
    "mergemix-top-down": 12,
    "mergemix-bottom-up": 12,
}

METRICS = (Metric("x", "loss", "min"), Metric("quiz", "accuracy", "max", is_differentiable=False))
OBJECTIVE = Objective((Term(METRICS[0], 2.0), Term(METRICS[1], 1.0)))
SCALE = Scale({"x/loss": 3.0, "quiz/accuracy": 0.5}, {"x/loss": 0.5, "quiz/accuracy": 0.1})

Truth = Callable[[Array], Array]


def bowl(points: Array) -> Array:
    """Both metrics are quadratic in the shares; their objective is best inside the simplex."""
    loss = 2 + ((points - [0.3, 0.2, 0.1, 0.4]) ** 2).sum(axis=1)
    accuracy = 0.6 - 0.5 * ((points - [0.4, 0.3, 0.1, 0.2]) ** 2).sum(axis=1)
    return np.stack([loss, accuracy], axis=1)


def spike(points: Array) -> Array:
    """Best at a corner by far, and flat elsewhere: no quadratic."""
    loss = 3 - np.exp(-30 * (1 - points[:, 0]))
    return np.stack([loss, np.full(len(points), 0.5)], axis=1)


@dataclass
class FakeScorer:
    """Knows the truth, adds noise to what it answers, and remembers what it was asked."""

    truth: Truth
    noise: float = 0.0
    seed: int = 0
    is_smooth: bool = True
    asked: list[Mixture] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        self.asked += mixtures
        self.orders += [request.order] * len(mixtures)
        return tuple(self._observe(mixture, request) for mixture in mixtures)

    def _observe(self, mixture: Mixture, request: Request) -> Observation:
        values = self.truth(mixture.array[None])[0]
        rng = np.random.default_rng([self.seed, *(round(share * 1e9) for share in mixture.shares)])
        noise = rng.normal(0, 1, 2) * self.noise * [0.5, 0.1]
        measurements = tuple(
            Measurement(metric.name, np.array([value]), np.ones(1), found)
            for metric, value, found in zip(
                METRICS, values + noise, self._derivatives(mixture.array, request), strict=True
            )
        )
        return Observation(mixture, "proxy", "linear", (), measurements, 0, 0, 0, str(mixture))

    def _derivatives(self, shares: Array, request: Request) -> list[Derivatives | None]:
        """Central differences."""
        if not (request.order and self.is_smooth):
            return [None] * len(METRICS)
        n, h = len(shares), 1e-4
        steps = h * np.eye(n)
        ups = [self.truth(shares + steps), self.truth(shares - steps)]
        slopes = (ups[0] - ups[1]).T / (2 * h)
        corners = [
            self.truth((shares + a * steps[:, None] + b * steps[None]).reshape(-1, n))
            for a, b in itertools.product((1, -1), repeat=2)
        ]
        bends = (corners[0] - corners[1] - corners[2] + corners[3]).T.reshape(-1, n, n) / (4 * h**2)
        return [
            Derivatives(slope, bend if request.order == 2 else None)
            for slope, bend in zip(slopes, bends, strict=True)
        ]


def halves(space: MixtureSpace) -> tuple[DomainGroup, ...]:
    """Groups for the methods that search in levels."""
    middle = (len(space.domains) + 1) // 2
    parts = space.domains[:middle], space.domains[middle:]
    return tuple(DomainGroup(f"half{k}", part) for k, part in enumerate(parts))


def over_halves(method: SearchMethod, space: MixtureSpace) -> SearchMethod:
    return method_for(method.name, OBJECTIVE, halves(space))


def value(truth: Truth, points: Array) -> Array:
    return OBJECTIVE.aggregate(truth(points), SCALE)


def search(
    method: SearchMethod,
    space: MixtureSpace,
    scorer: FakeScorer,
    budget: int | None = None,
    seed: int = 0,
) -> SearchResult:
    known = replace(scorer, asked=[], orders=[]).score(
        [Mixture.single(space.domains, d) for d in space.domains]
    )
    return method.search(
        SearchProblem(scorer, space, OBJECTIVE, SCALE, budget, seed, known, groups=halves(space))
    )


@cache
def noisy_search(name: str, space: MixtureSpace, truth: Truth) -> tuple[FakeScorer, SearchResult]:
    """A search within a budget by a scorer with noise, and whom it asked."""
    scorer = FakeScorer(truth, noise=0.3)
    return scorer, search(METHODS[name], space, scorer, BUDGETS[name])


@cache
def quiet_search(name: str, space: MixtureSpace) -> tuple[FakeScorer, SearchResult]:
    """A search without noise and limit of evaluations, and whom it asked; for tests that look."""
    scorer = FakeScorer(bowl)
    return scorer, search(METHODS[name], space, scorer)


def best_mixture(result: SearchResult) -> Mixture:
    assert result.best.mixture is not None
    return result.best.mixture


@cache
def best_value(truth: Truth, space: MixtureSpace) -> float:
    """The true optimum of a concave objective, by scipy."""
    sides, ends = space.region.half_spaces
    found = minimize(
        lambda shares: -value(truth, shares[None])[0],
        np.mean([vertex.shares for vertex in list_vertices(space)], axis=0),
        bounds=list(zip(space.lower, space.upper, strict=True)),
        constraints=[
            {"type": "eq", "fun": lambda shares: shares.sum() - 1},
            {"type": "ineq", "fun": lambda shares: ends - sides @ shares},
        ],
        method="SLSQP",
        options={"ftol": 1e-12},
    )
    assert found.success
    return -float(found.fun)


def regret(truth: Truth, space: MixtureSpace, result: SearchResult) -> float:
    return best_value(truth, space) - float(value(truth, best_mixture(result).array[None])[0])


def test_the_table_is_keyed_by_name_and_names_its_sources() -> None:
    assert list(METHODS) == list(BUDGETS)
    for name, method in METHODS.items():
        assert method.name == name
        assert method.source


@ROWS
@SPACES
def test_only_subsets_are_scored_outside_the_space(
    method: SearchMethod, space: MixtureSpace
) -> None:
    scorer, _ = quiet_search(method.name, space)
    outside = [mixture for mixture in scorer.asked if not space.contains(mixture)]
    assert not outside or method.name == "subsets"


@ROWS
@pytest.mark.parametrize(
    ("space", "truth"),
    [
        (WHOLE, bowl),
        (BOUNDED, bowl),
        (LIMITED, bowl),
        (LIMITED, spike),
        pytest.param(WHOLE, spike, marks=pytest.mark.slow),
        pytest.param(BOUNDED, spike, marks=pytest.mark.slow),
    ],
    ids=[
        *(f"{name}-bowl" for name in SPACE_NAMES),
        "limited-spike",
        "whole-spike",
        "bounded-spike",
    ],
)
def test_the_best_that_was_scored_inside_the_space_is_recommended(
    method: SearchMethod, space: MixtureSpace, truth: Truth
) -> None:
    _, result = noisy_search(method.name, space, truth)
    inside = [o for o in result.scored if o.mixture is not None and space.contains(o.mixture)]
    values = [OBJECTIVE.value(o.values, SCALE) for o in inside]
    assert result.best is inside[int(np.argmax(values))]


@WHOLES
def test_the_result_holds_all_that_was_asked_in_order(method: SearchMethod) -> None:
    scorer, result = quiet_search(method.name, WHOLE)
    assert result.method == over_halves(method, WHOLE).name
    assert [o.mixture for o in result.scored] == scorer.asked


@WHOLES
@SPACES
def test_nothing_is_scored_twice(method: SearchMethod, space: MixtureSpace) -> None:
    """In levels a mixture of one stage may be asked for its slopes by another."""
    scorer, _ = quiet_search(method.name, space)
    asked = list(zip(scorer.asked, scorer.orders if method.over else scorer.asked, strict=True))
    assert len(set(asked)) == len(asked)


@WHOLES
@SPACES
def test_the_design_comes_first_and_few_checks_follow(
    method: SearchMethod, space: MixtureSpace
) -> None:
    scorer, _ = quiet_search(method.name, space)
    design = (over_halves(method, space) if method.over else method).design(space, None, 0)
    assert tuple(scorer.asked[: len(design)]) == design
    row = over_halves(method, space)
    assert len(scorer.asked) <= len(row.design(space, None, 0)) + row.n_checks


@WHOLES
@SPACES
def test_the_budget_is_respected(method: SearchMethod, space: MixtureSpace) -> None:
    scorer, _ = noisy_search(method.name, space, bowl)
    assert 0 < len(scorer.asked) <= BUDGETS[method.name]


@pytest.mark.parametrize("method", [METHODS[name] for name in LEAST], ids=list(LEAST))
def test_a_budget_that_is_too_small_is_refused_before_anything_is_scored(
    method: SearchMethod,
) -> None:
    scorer = FakeScorer(bowl)
    with pytest.raises(RecipeError, match=r"`search.budget` must be at least \d+ .*but got 1: "):
        search(method, WHOLE, scorer, budget=1)
    assert not scorer.asked


@pytest.mark.parametrize("method", [METHODS[name] for name in LEAST], ids=list(LEAST))
def test_the_smallest_budget_named_by_the_error_is_enough(method: SearchMethod) -> None:
    least = LEAST[method.name]
    assert len(search(method, WHOLE, FakeScorer(bowl), budget=least).scored) <= least
    with pytest.raises(RecipeError, match=f"must be at least {least} "):
        search(method, WHOLE, FakeScorer(bowl), budget=least - 1)


@ROWS
@pytest.mark.parametrize(
    "space",
    [WHOLE, pytest.param(BOUNDED, marks=pytest.mark.slow), LIMITED],
    ids=SPACE_NAMES,
)
def test_the_same_seed_asks_and_recommends_the_same(
    method: SearchMethod, space: MixtureSpace
) -> None:
    first, found = quiet_search(method.name, space)
    again = FakeScorer(bowl)
    assert best_mixture(search(method, space, again)) == best_mixture(found)
    assert again.asked == first.asked


@SPACES
def test_the_lattice_finds_the_optimum_of_a_quadratic(space: MixtureSpace) -> None:
    _, result = quiet_search("lattice", space)
    assert regret(bowl, space, result) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", ["auto", "slopes", "newton", "mirror", "bayes", "lattice"])
@pytest.mark.parametrize("seed", [1, 2, 5])
def test_the_optimum_of_a_quadratic_is_found_within_random_limits(name: str, seed: int) -> None:
    space = replace(random_space(seed, 4, 3), domains=DOMAINS)
    scorer = FakeScorer(bowl)
    result = search(METHODS[name], space, scorer)
    assert all(space.contains(mixture) for mixture in scorer.asked)
    assert regret(bowl, space, result) == pytest.approx(0, abs=5e-3)


@pytest.mark.parametrize("name", ["top-down", "bottom-up"])
def test_a_prior_moves_the_answer_in_levels_too(name: str) -> None:
    prior = Prior(Mixture(DOMAINS, (0.1, 0.1, 0.7, 0.1)), 0.5)
    problem = SearchProblem(
        FakeScorer(bowl), BOUNDED, OBJECTIVE, SCALE, None, 0, prior=prior, groups=halves(BOUNDED)
    )
    found = best_mixture(METHODS[name].search(problem)).array[None]
    points = sample(BOUNDED, 50_000, seed=0)
    highest = (value(bowl, points) - prior.penalty(points)).max()
    assert (value(bowl, found) - prior.penalty(found))[0] == pytest.approx(highest, abs=0.05)
    assert prior.divergence(found)[0] < 0.7 * prior.divergence(np.array([[0.3, 0.2, 0.1, 0.4]]))[0]


@pytest.mark.parametrize("name", ["auto", "slopes", "newton", "mirror", "bayes", "lattice"])
def test_a_prior_moves_the_answer_to_the_best_of_both(name: str) -> None:
    prior = Prior(Mixture(DOMAINS, (0.1, 0.1, 0.7, 0.1)), 0.5)
    problem = SearchProblem(FakeScorer(bowl), LIMITED, OBJECTIVE, SCALE, None, 0, prior=prior)
    found = best_mixture(METHODS[name].search(problem)).array[None]
    points = sample(LIMITED, 50_000, seed=0)
    highest = (value(bowl, points) - prior.penalty(points)).max()
    assert (value(bowl, found) - prior.penalty(found))[0] == pytest.approx(highest, abs=0.01)
    assert prior.divergence(found)[0] < 0.7 * prior.divergence(np.array([[0.3, 0.2, 0.1, 0.4]]))[0]


@pytest.mark.parametrize("space", [BOUNDED, LIMITED], ids=["bounded", "limited"])
def test_where_candidates_are_arithmetic_the_top_is_exact_and_so_is_the_gap(
    space: MixtureSpace,
) -> None:
    problem = SearchProblem(FakeScorer(bowl), space, OBJECTIVE, SCALE, None, 0, is_arithmetic=True)
    result = METHODS["slopes"].search(problem)
    assert regret(bowl, space, result) == pytest.approx(0, abs=1e-4)  # four decimals
    gap = find_gap(problem, result.best)
    assert gap is not None
    assert gap < 2e-3
    [centre_] = FakeScorer(bowl).score([centre(space)], SLOPES)
    known = find_gap(problem, centre_)
    assert known is not None
    assert known >= best_value(bowl, space) - OBJECTIVE.value(centre_.values, SCALE)


@pytest.mark.parametrize("name", ["mergemix", "demix", "random"])
def test_random_methods_stay_within_random_limits(name: str) -> None:
    space = replace(random_space(1, 4, 3), domains=DOMAINS)
    scorer = FakeScorer(bowl)
    result = search(METHODS[name], space, scorer)
    assert all(space.contains(mixture) for mixture in scorer.asked)
    assert -1e-6 < regret(bowl, space, result) < 0.1


@SPACES
@pytest.mark.parametrize("name", ["mergemix", "subsets"])
def test_the_others_come_near_the_optimum_of_a_quadratic(name: str, space: MixtureSpace) -> None:
    _, result = quiet_search(name, space)
    corners = np.array([vertex.shares for vertex in list_vertices(space)])
    random = np.random.default_rng(1).dirichlet(np.ones(len(corners)), 1000) @ corners
    loss_of_a_guess = best_value(bowl, space) - value(bowl, random).mean()
    assert -1e-6 < regret(bowl, space, result) < loss_of_a_guess


@pytest.mark.parametrize("name", ["auto", "slopes", "bayes", "lattice", "mergemix", *SUBSETS])
def test_a_best_corner_is_recommended(name: str) -> None:
    method = METHODS[name]
    assert str(best_mixture(search(method, WHOLE, FakeScorer(spike)))) == "a=1"


@pytest.mark.parametrize("method", [m for n, m in METHODS.items() if n != "auto"], ids=NAME)
def test_noise_costs_less_than_the_noise_itself(method: SearchMethod) -> None:
    is_dear = method.name == "bayes" or bool(method.over)
    noise, budget = 0.2, BUDGETS[method.name] if is_dear else None
    regrets = [
        regret(bowl, WHOLE, search(method, WHOLE, FakeScorer(bowl, noise, s), budget, s))
        for s in range(3)
    ]
    without = regret(bowl, WHOLE, quiet_search(method.name, WHOLE)[1])
    assert np.mean(regrets) < without + noise


@pytest.mark.parametrize("name", ["lattice", "mergemix"])
@pytest.mark.parametrize("truth", [bowl, spike])
def test_the_prediction_is_the_surrogate_at_the_recommendation(name: str, truth: Truth) -> None:
    result = search(METHODS[name], WHOLE, FakeScorer(truth))
    shares = shares_of(result.scored)
    values = np.array([[o.values[m.name] for m in OBJECTIVE.metrics] for o in result.scored])
    if name == "lattice":
        surrogate = fit_quadratic(shares, values)
    else:  # the last point is the check, which the trees have not seen
        surrogate = fit_trees(shares[:-1], values[:-1], seed=0)
    predicted = OBJECTIVE.aggregate(surrogate(best_mixture(result).array[None]), SCALE)[0]
    assert result.predicted == pytest.approx(predicted, abs=1e-9)


def test_the_quadratic_predicts_what_a_quadratic_scores() -> None:
    _, result = quiet_search("lattice", WHOLE)
    assert result.predicted == pytest.approx(OBJECTIVE.value(result.best.values, SCALE), abs=1e-6)


def test_subsets_have_no_surrogate() -> None:
    _, result = quiet_search("subsets", WHOLE)
    assert result.predicted is None


@ROWS
def test_two_domains_are_enough(method: SearchMethod) -> None:
    def line(points: Array) -> Array:
        return np.stack([2 + (points[:, 0] - 0.5) ** 2, np.full(len(points), 0.5)], axis=1)

    result = search(method, MixtureSpace.whole(("a", "b")), FakeScorer(line))
    assert best_mixture(result).shares == pytest.approx((0.5, 0.5), abs=0.01)


@pytest.mark.parametrize("name", ["lattice", "mergemix"])
def test_a_space_of_one_mixture_has_one_answer(name: str) -> None:
    only = (0.1, 0.2, 0.3, 0.4)
    result = search(METHODS[name], MixtureSpace(DOMAINS, only, only), FakeScorer(bowl))
    assert best_mixture(result).shares == only


def test_distinct_keeps_the_first_of_each_in_order() -> None:
    first, second = Mixture.single("ab", "a"), Mixture.single("ab", "b")
    assert distinct([second, first, second, first]) == (second, first)
    assert distinct([]) == ()


def test_nothing_inside_the_space_is_no_answer() -> None:
    scorer = FakeScorer(bowl)
    problem = SearchProblem(scorer, BOUNDED, OBJECTIVE, SCALE, None, 0)
    with pytest.raises(RecipeError, match=r"inside|within|bounds"):
        problem.best(scorer.score([Mixture.single(DOMAINS, "b")]))


def test_metric_values_are_in_the_order_of_the_objective() -> None:
    scorer = FakeScorer(bowl)
    problem = SearchProblem(scorer, WHOLE, OBJECTIVE, SCALE, None, 0)
    mixtures = list_vertices(WHOLE)
    shares = np.array([mixture.shares for mixture in mixtures])
    assert problem.metric_values(scorer.score(mixtures)) == pytest.approx(bowl(shares))


LOSS = Term(Metric("code", "loss", "min"), 1.0)
BITS = Term(Metric("quiz", "answer_bits_per_byte", "min"), 1.0)
ACCURACY = Term(Metric("quiz", "accuracy", "max", is_differentiable=False), 1.0)


@pytest.mark.parametrize(
    ("terms", "method"),
    [
        ((LOSS,), "slopes"),
        ((LOSS, BITS), "slopes"),
        ((ACCURACY,), "bayes"),
        ((LOSS, ACCURACY), "bayes"),
    ],
)
def test_metrics_that_jump_decide(terms: tuple[Term, ...], method: str) -> None:
    assert choose(Objective(terms)) == method
    assert method_for("auto", Objective(terms)) is METHODS[method]


@pytest.mark.parametrize("name", list(METHODS))
def test_every_other_name_is_its_own_row(name: str) -> None:
    if name != "auto" and METHODS[name].over is None:
        assert method_for(name, Objective((ACCURACY,))) is METHODS[name]


def test_auto_starts_where_both_start() -> None:
    space = MixtureSpace.whole("abc")
    (first,) = METHODS["auto"].design(space, None, 0)
    assert METHODS["slopes"].design(space, None, 0) == (first,)
    assert METHODS["bayes"].design(space, None, 0)[0] == first
    with pytest.raises(RecipeError, match=r"at least 2 for .* but got 1"):
        METHODS["auto"].design(space, 1, 0)


def test_a_method_of_ones_own_is_found_and_its_name_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_table, "METHODS", Table("search method", METHODS.values()))
    monkeypatch.setattr(registry, "_added", {"merge rule": [], "search method": []})
    own = replace(METHODS["random"], name="mine", source="made up")
    register_method(own)
    assert method_for("mine", Objective((ACCURACY,))) is own
    assert Search.model_validate({"method": "mine"}).method == "mine"
    with pytest.raises(RecipeError, match="search method `mine` already: give yours another"):
        register_method(own)
