import numpy as np
import pytest
from benchmarks.synthetic import instance
from hypothesis import given
from hypothesis import strategies as st

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.scorer import SLOPES
from mixwise.search.methods.trust_region import box, follow, is_taken
from mixwise.search.problem import SearchProblem
from mixwise.search.space.designs import centre
from mixwise.search.surrogates.objective_model import fit_surface

SPACE = MixtureSpace(tuple("abc"), (0.1, 0.0, 0.0), (0.8, 0.7, 1.0))


@given(st.floats(0.001, 1.0), st.integers(0, 100))
def test_the_box_lies_in_the_space_and_holds_its_middle(width: float, seed: int) -> None:
    middle = SPACE.mixture(np.random.default_rng(seed).normal(size=3))
    found = box(SPACE, middle, width)
    assert found.contains(middle)
    for low, high, least, most in zip(
        found.lower, found.upper, SPACE.lower, SPACE.upper, strict=True
    ):
        assert least - 1e-9 <= low <= high <= most + 1e-9
        assert high - low <= 2 * width + 1e-9


def test_a_box_worked_by_hand() -> None:
    found = box(SPACE, Mixture(tuple("abc"), (0.2, 0.3, 0.5)), 0.2)
    assert found.lower == pytest.approx((0.1, 0.1, 0.3))
    assert found.upper == pytest.approx((0.4, 0.5, 0.7))


def test_the_climb_stops_by_itself_and_keeps_its_budget() -> None:
    made = instance("face", 5, 2)

    def climb(budget: int | None) -> int:
        asked = SearchProblem(made.scorer, made.space, made.objective, made.scale, budget, 0)
        start = made.scorer.score([centre(made.space)], SLOPES)
        return len(follow(asked, start, fit_surface, SLOPES).scored)

    assert climb(2) == 2
    assert 2 < climb(None) < 16


def test_the_climb_rises_from_a_bad_start() -> None:
    made = instance("interior", 4, 2)
    asked = SearchProblem(made.scorer, made.space, made.objective, made.scale, None, 0)
    corners = [Mixture.single(made.space.domains, name) for name in made.space.domains]
    worst = min(made.scorer.score(corners, SLOPES), key=asked.value)
    climb = follow(asked, [worst], fit_surface, SLOPES)
    middle = made.scorer.score([centre(made.space)])[0]
    assert asked.value(asked.best(climb.scored)) > asked.value(middle)


def test_mixtures_that_differ_by_less_than_a_ten_thousandth_are_the_same() -> None:
    made = instance("interior", 4, 2)
    scored = made.scorer.score([centre(made.space)])
    for step, same in ((5e-5, True), (5e-4, False)):
        moved = made.space.mixture(np.array([0.25 + step, 0.25 - step, 0.25, 0.25]))
        assert is_taken(moved, scored) is same
