from __future__ import annotations

import numpy as np
from tests.decision.tables import DOMAINS, Formulas, distance_to, named_problem

from mixwise.arrays import Array
from mixwise.mixture import Limit, Mixture, MixtureSpace
from mixwise.search.front import Group, choose_front, gains_of, most_scored, search_front
from mixwise.search.method_table import METHODS
from mixwise.search.problem import SearchProblem, SearchResult
from mixwise.search.surrogates.objective_model import fit_surface

P, Q = np.array([0.6, 0.2, 0.2]), np.array([0.1, 0.3, 0.6])


def groups_of(problem: SearchProblem) -> list[Group]:
    names = [term.group or "" for term in problem.objective.terms]
    return [Group(problem, problem.objective.of_group(name)) for name in names]


def traced(problem: SearchProblem, found: SearchResult) -> Array:
    """Gains of the front's mixtures, a row each."""
    surface = fit_surface(problem, found.scored)
    new = search_front(groups_of(problem), found, surface, found.scored)
    gains = gains_of(groups_of(problem), [*found.scored, *new])
    return gains[choose_front(gains)]


def test_two_quadratics_meet_on_the_line_between_their_peaks() -> None:
    problem = named_problem({"p": distance_to(P), "q": distance_to(Q)}, MixtureSpace.whole(DOMAINS))
    found = METHODS["slopes"].search(problem)
    gains = traced(problem, found)
    away = np.sqrt(-np.minimum(gains, 0)).sum(axis=1)  # distances to both peaks
    assert np.allclose(away, np.linalg.norm(P - Q), atol=2e-3)
    assert np.allclose(gains[0], [0, -((P - Q) ** 2).sum()], atol=1e-3)
    assert np.allclose(gains[-1], [-((P - Q) ** 2).sum(), 0], atol=1e-3)
    assert len(gains) == 7  # the ends are 0.594 apart


def test_a_front_that_bends_inwards_is_found_between_its_ends() -> None:
    values = {"p": lambda x: float(x[0] ** 2), "q": lambda x: float(x[1] ** 2)}
    problem = named_problem(values, MixtureSpace.whole(("a", "b")))
    gains = traced(problem, METHODS["slopes"].search(problem))
    assert len(gains) > 8
    assert np.allclose(np.sqrt(gains).sum(axis=1), 1, atol=1e-9)
    assert gains[0].tolist() == [1, 0]  # all of one domain
    assert gains[-1].tolist() == [0, 1]
    steps = np.linalg.norm(np.diff(gains, axis=0), axis=1)
    assert steps.max() < 0.25


def test_three_groups_have_the_triangle_between_their_peaks() -> None:
    peaks = {"p": np.array([1.0, 0, 0]), "q": np.array([0, 1.0, 0]), "r": np.array([0, 0, 1.0])}
    values = {name: distance_to(peak) for name, peak in peaks.items()}
    problem = named_problem(values, MixtureSpace.whole(DOMAINS))
    gains = traced(problem, METHODS["slopes"].search(problem))
    assert len(gains) > 10
    assert np.allclose(gains.max(axis=0), 0, atol=1e-4)
    assert np.allclose(gains.min(axis=0), -2, atol=1e-2)


def test_what_some_mixture_beats_everywhere_is_never_on_the_front() -> None:
    gains = np.random.default_rng(0).random((200, 3))
    for k in choose_front(gains):
        is_better = (gains >= gains[k]).all(axis=1) & (gains > gains[k]).any(axis=1)
        assert not is_better.any()


def test_of_mixtures_that_gain_the_same_the_first_is_taken() -> None:
    assert choose_front(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])) == [1, 0]


def test_groups_that_agree_have_one_point() -> None:
    problem = named_problem({"p": distance_to(P), "q": distance_to(P)}, MixtureSpace.whole(DOMAINS))
    assert len(traced(problem, METHODS["slopes"].search(problem))) == 1


def test_a_group_that_tells_nothing_apart_costs_nothing() -> None:
    values = {"p": distance_to(P), "q": lambda x: 0.0}
    problem = named_problem(values, MixtureSpace.whole(DOMAINS), spreads={"q": 0.0})
    [only] = traced(problem, METHODS["slopes"].search(problem))
    assert np.allclose(only, 0, atol=1e-3)


def test_the_front_keeps_to_the_bounds_and_to_its_limit() -> None:
    space = MixtureSpace(DOMAINS, (0.0, 0.1, 0.0), (0.4, 1.0, 1.0))
    scorer = Formulas({"p": distance_to(P), "q": distance_to(Q)})
    problem = named_problem(scorer.values, space, scorer=scorer)
    found = METHODS["slopes"].search(problem)
    n_before, surface = scorer.n, fit_surface(problem, found.scored)
    new = search_front(groups_of(problem), found, surface, found.scored)
    assert 0 < len(new) == scorer.n - n_before <= most_scored(2)
    assert all(o.mixture and space.contains(o.mixture) for o in new)
    again = search_front(groups_of(problem), found, surface, found.scored)
    assert [o.mixture for o in again] == [o.mixture for o in new]


def test_subsets_have_a_front_of_subsets() -> None:
    problem = named_problem({"p": distance_to(P), "q": distance_to(Q)}, MixtureSpace.whole(DOMAINS))
    found = METHODS["subsets"].search(problem)
    surface = fit_surface(problem, found.scored)
    assert search_front(groups_of(problem), found, surface, found.scored) == ()
    assert Mixture.uniform(DOMAINS) in [o.mixture for o in found.scored]


def test_within_limits_the_front_ends_at_the_nearest_mixtures_to_the_peaks() -> None:
    joint = Limit("a + b", (1.0, 1.0, 0.0), 0.5, 0.7)
    space = MixtureSpace(DOMAINS, (0.0,) * 3, (1.0,) * 3, (joint,))
    problem = named_problem({"p": distance_to(P), "q": distance_to(Q)}, space)
    found = METHODS["slopes"].search(problem)
    new = search_front(groups_of(problem), found, fit_surface(problem, found.scored), found.scored)
    assert new
    assert all(o.mixture is not None and space.contains(o.mixture) for o in new)
    gains = gains_of(groups_of(problem), [*found.scored, *new])
    nearest = [-float(((space.mixture(peak).array - peak) ** 2).sum()) for peak in (P, Q)]
    assert np.allclose(gains.max(axis=0), nearest, atol=1e-3)
