from dataclasses import replace

import numpy as np
import pytest
from benchmarks.synthetic import Instance, instance

from mixwise.mixture import Mixture
from mixwise.objective import Floor, Metric, Objective, Scale, Term
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.scorer import SLOPES, VALUES
from mixwise.search.problem import SearchProblem
from mixwise.search.space.vertices import list_vertices
from mixwise.search.surrogates.gaussian_process import Posterior
from mixwise.search.surrogates.objective_model import (
    CompanionModel,
    companion_of,
    fit_surface,
    has_slopes,
    smooth_objective,
)

Array = np.ndarray
QUIZ = Metric("quiz", "accuracy", "max", is_differentiable=False)
BITS = "quiz/answer_bits_per_byte"


def problem(made: Instance, **changes: object) -> SearchProblem:
    base = SearchProblem(made.scorer, made.space, made.objective, made.scale, None, 0)
    return replace(base, **changes)  # type: ignore[arg-type]


def quiz_observation(shares: Array, *, sloped: bool = True) -> Observation:
    """Bits fall along one direction; accuracy follows them."""
    direction = np.array([1.0, 0.3, -0.5])
    bits = 2 - shares @ direction
    slopes = Derivatives(-direction) if sloped else None
    measurements = (
        Measurement("quiz/accuracy", np.array([0.9 - 0.2 * bits, 0.9 - 0.2 * bits]), np.ones(2)),
        Measurement(BITS, np.array([bits]), np.ones(1), slopes),
    )
    mixture = Mixture(("a", "b", "c"), tuple(shares))
    return Observation(mixture, "proxy", "linear", (), measurements, 0, 0, 0, str(mixture))


def quiz_problem() -> SearchProblem:
    scale = Scale({QUIZ.name: 0.3}, {QUIZ.name: 0.1})
    made = instance("interior", 3, 0)
    return SearchProblem(made.scorer, made.space, Objective((Term(QUIZ, 1.0),)), scale, None, 0)


@pytest.mark.parametrize("aggregation", ["mean", "worst"])
@pytest.mark.parametrize("has_floor", [False, True])
def test_slopes_of_the_objective_are_those_of_its_value(aggregation: str, has_floor: bool) -> None:
    made = instance("interior", 4, 0)
    floored = made.objective.metrics[0]
    middle = float(made.scorer.truth(np.full((1, 4), 0.25))[0, 0])
    floors = (Floor(floored, middle),) if has_floor else ()
    objective = replace(made.objective, aggregation=aggregation, floors=floors)
    made = replace(made, objective=objective)
    asked = problem(made)
    points = np.random.default_rng(0).dirichlet(np.ones(4), 5)

    def metrics(where: Array) -> Array:
        return np.array([[s.slopes(p).mean(axis=0) for s in made.scorer.surfaces] for p in where])

    values, slopes = smooth_objective(asked, made.scorer.truth(points), metrics(points))
    step = 1e-6 * np.array([1.0, -1.0, 0.5, -0.5])
    ups, downs = (
        smooth_objective(asked, made.scorer.truth(p), metrics(p))[0]
        for p in (points + step, points - step)
    )
    assert (ups - downs) / 2 == pytest.approx(slopes @ step, rel=1e-4)
    assert values == pytest.approx(made.truth(points), abs=0.02)


def test_a_metric_without_spread_has_no_say() -> None:
    made = instance("interior", 4, 0)
    silent = made.objective.metrics[0].name
    scale = Scale(made.scale.base, {**made.scale.spread, silent: 0.0})
    slopes = np.ones((1, 4, 4))
    slopes[0, 0] = 1e9
    for aggregation in ("mean", "worst"):
        objective = replace(made.objective, aggregation=aggregation)
        asked = problem(made, scale=scale, objective=objective)
        _, found = smooth_objective(asked, made.scorer.truth(np.full((1, 4), 0.25)), slopes)
        assert np.abs(found).max() < 1e6


def test_the_surface_meets_what_was_scored_and_reads_what_was_known() -> None:
    made = instance("interior", 4, 0)
    corners = [Mixture.single(made.space.domains, name) for name in made.space.domains]
    known = made.scorer.score(corners)
    scored = made.scorer.score([Mixture.uniform(made.space.domains)], SLOPES)
    surface = fit_surface(problem(made, known=known), scored)
    points = np.concatenate([np.eye(4), np.full((1, 4), 0.25)])
    assert surface.value(points) == pytest.approx(made.truth(points), abs=0.02)


def test_the_top_is_no_lower_than_any_sample_and_lies_in_the_space() -> None:
    made = instance("face", 5, 1)
    scored = made.scorer.score([Mixture.uniform(made.space.domains)], SLOPES)
    surface = fit_surface(problem(made), scored)
    top = surface.top(made.space, near=np.full((1, 5), 0.2), seed=0)
    random = np.random.default_rng(0).dirichlet(np.ones(5), 500)
    assert surface.value(top[None])[0] >= surface.value(random).max()
    assert top.sum() == pytest.approx(1)


def test_draws_scatter_around_the_mean_by_the_deviation() -> None:
    made = instance("interior", 4, 0)
    surface = fit_surface(problem(made), made.scorer.score(list_vertices(made.space), VALUES))
    points = np.array([[0.4, 0.3, 0.2, 0.1]])
    draws = surface.draws(points, 4000, seed=0)[:, 0]
    spread = [made.scale.spread[m.name] for m in made.objective.metrics]
    deviation = [model.deviation(points)[0] for model in surface.models]
    expected = np.sqrt(np.mean((np.array(deviation) / spread) ** 2) / len(spread))
    assert draws.mean() == pytest.approx(surface.value(points)[0], abs=0.1 * expected)
    assert draws.std() == pytest.approx(expected, rel=0.1)


def test_accuracy_follows_its_companion_to_where_nothing_was_scored() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(3) * 5, 5)
    observations = [quiz_observation(row) for row in shares]
    assert companion_of(observations, QUIZ) == BITS
    model = fit_surface(quiz_problem(), observations).models[0]
    assert isinstance(model, CompanionModel)
    values, slopes = model.predict(np.eye(3))
    assert values == pytest.approx([0.7, 0.56, 0.4], abs=0.02)
    assert slopes[0, 0] - slopes[0, 2] == pytest.approx(0.3, abs=0.02)


def test_without_slopes_there_is_no_companion() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 5)
    observations = [quiz_observation(row, sloped=False) for row in shares]
    assert not has_slopes(observations, BITS)
    assert companion_of(observations, QUIZ) is None
    assert isinstance(fit_surface(quiz_problem(), observations).models[0], Posterior)
