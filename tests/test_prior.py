import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture
from mixwise.prior import Prior

PRIOR = Prior(Mixture(("a", "b", "c"), (0.5, 0.3, 0.2)), 0.4)


def test_leaving_the_prior_costs_by_hand() -> None:
    corner = np.array([[1.0, 0.0, 0.0]])
    assert PRIOR.divergence(corner) == pytest.approx(np.log(2))
    assert PRIOR.penalty(corner) == pytest.approx(0.4 * np.log(2))
    assert PRIOR.penalty(np.array([[0.5, 0.3, 0.2]])) == pytest.approx(0, abs=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_slopes_are_differences_along_the_simplex(seed: int) -> None:
    rng = np.random.default_rng(seed)
    here, there = rng.dirichlet(np.full(3, 3.0), 2)
    step = 1e-6 * (there - here)
    rise = PRIOR.penalty((here + step)[None]) - PRIOR.penalty((here - step)[None])
    assert PRIOR.penalty(here[None])[0] >= 0
    assert rise[0] / 2 == pytest.approx(float(PRIOR.slopes(here[None])[0] @ step), abs=1e-10)


def test_a_prior_without_a_domain_or_a_weight_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"a share of every domain, but has none of `b`: give it"):
        Prior(Mixture(("a", "b"), (1.0, 0.0)), 0.1)
    with pytest.raises(RecipeError, match="weight of the prior must be above 0, but got 0"):
        Prior(Mixture(("a", "b"), (0.5, 0.5)), 0.0)
