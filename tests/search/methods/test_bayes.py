from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.scorer import VALUES, Request
from mixwise.search.methods.bayes import design_bayes, expected_improvement, search_bayes
from mixwise.search.problem import SearchProblem, mixture_of
from mixwise.search.surrogates.objective_model import fit_surface

Array = np.ndarray
DOMAINS = ("a", "b", "c", "d")
SPACE = MixtureSpace.whole(DOMAINS)
QUIZ = Metric("quiz", "accuracy", "max", is_differentiable=False)
TOP = np.array([0.5, 0.3, 0.1, 0.1])
N_EXAMPLES = 400


@dataclass
class Quiz:
    """Answers jump from wrong to right as their margins cross zero; bits move smoothly."""

    has_companion: bool = True
    orders: list[int] = field(default_factory=list)

    def rate(self, shares: Array) -> float:
        return float(0.8 - 1.2 * ((shares - TOP) ** 2).sum())

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        self.orders += [request.order] * len(mixtures)
        return tuple(self._observe(m, request) for m in mixtures)

    def _observe(self, mixture: Mixture, request: Request) -> Observation:
        thresholds = np.random.default_rng(0).uniform(size=N_EXAMPLES)
        right = (thresholds < self.rate(mixture.array)).astype(float)
        rows = [Measurement(QUIZ.name, right, np.ones(N_EXAMPLES))]
        if self.has_companion:
            slopes = 2 * (mixture.array - TOP)
            bits = np.full(2, 1 + ((mixture.array - TOP) ** 2).sum())
            found = Derivatives(slopes) if request.order else None
            rows.append(Measurement("quiz/answer_bits_per_byte", bits, np.ones(2), found))
        return Observation(mixture, "proxy", "linear", (), tuple(rows), 0, 0, 0, str(mixture))


def problem(quiz: Quiz, budget: int | None = None) -> SearchProblem:
    scale = Scale({QUIZ.name: 0.3}, {QUIZ.name: 0.1})
    return SearchProblem(quiz, SPACE, Objective((Term(QUIZ, 1.0),)), scale, budget, 0)


@pytest.mark.parametrize("has_companion", [True, False])
def test_accuracy_is_climbed_nearly_to_its_top(has_companion: bool) -> None:
    quiz = Quiz(has_companion)
    found = search_bayes(problem(quiz, budget=16))
    assert quiz.rate(mixture_of(found.best).array) > 0.78


def test_a_companion_saves_mixtures() -> None:
    counts = []
    for has_companion in (True, False):
        quiz = Quiz(has_companion)
        scored = search_bayes(problem(quiz, budget=16)).scored
        rates = [quiz.rate(mixture_of(o).array) for o in scored]
        counts.append(next(i for i, rate in enumerate(rates) if rate > 0.78))
    assert counts[0] < counts[1]


def test_slopes_are_asked_for_only_while_there_are_some() -> None:
    with_slopes, without = Quiz(), Quiz(has_companion=False)
    for quiz in (with_slopes, without):
        search_bayes(problem(quiz, budget=8))
    assert with_slopes.orders[5:] == [1] * len(with_slopes.orders[5:])
    assert without.orders[1:] == [0] * len(without.orders[1:])


def test_expected_improvement_is_large_where_nothing_is_known_and_nil_where_it_is_worse() -> None:
    quiz = Quiz()
    scored = quiz.score([Mixture.uniform(DOMAINS), Mixture.single(DOMAINS, "a")], Request(order=1))
    surface = fit_surface(problem(quiz), scored)
    best = float(surface.value(np.array([o.mixture.shares for o in scored if o.mixture])).max())
    points = np.array([[1.0, 0.0, 0.0, 0.0], [0.4, 0.4, 0.1, 0.1]])
    known, new = expected_improvement(surface, points, best, seed=0)
    assert new > 10 * known >= 0
    assert expected_improvement(surface, points, best + 100, seed=0) == pytest.approx([0, 0])


def test_the_design_is_the_centre_and_the_extreme_points() -> None:
    assert [str(m) for m in design_bayes(SPACE, None, 0)][1:] == ["a=1", "b=1", "c=1", "d=1"]
    many = MixtureSpace(tuple(f"d{i}" for i in range(20)), (0.0,) * 20, (0.2,) * 20)
    assert len(design_bayes(many, None, 0)) == 21


def test_a_budget_below_the_design_is_told() -> None:
    with pytest.raises(RecipeError, match="at least 6 for the centre, the extreme points"):
        search_bayes(problem(Quiz(), budget=5))


def test_a_search_on_a_line_does_not_end_at_its_own_corner() -> None:
    """Many candidates beside a corner are projected onto it; the next ones are looked at then."""
    space = MixtureSpace(DOMAINS, (0.0, 0.0, 0.1, 0.2), (1.0, 1.0, 0.1, 0.2))
    top = np.array([0.1, 0.6, 0.1, 0.2])

    @dataclass
    class Line(Quiz):
        def _observe(self, mixture: Mixture, request: Request) -> Observation:
            loss = np.array([4 * ((mixture.array - top) ** 2).sum()])
            row = Measurement("quiz/loss", loss, np.ones(1))
            return Observation(mixture, "proxy", "linear", (), (row,), 0, 0, 0, str(mixture))

    loss = Objective((Term(Metric("quiz", "loss", "min"), 1.0),))
    scale = Scale({"quiz/loss": 0.0}, {"quiz/loss": 1.0})
    found = search_bayes(SearchProblem(Line(), space, loss, scale, None, 0))
    assert mixture_of(found.best).array == pytest.approx(top, abs=0.02)
