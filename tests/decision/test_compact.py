import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.decision.compact import compact
from mixwise.decision.discrepancy import Trained, fit_discrepancy, prior_discrepancy
from mixwise.extrapolation import NOT_CONTINUED, ContinuationError

CONTINUED = ContinuationError(0.2, 0.3)


def references(n_domains: int, m: int, seed: int) -> list[Trained]:
    rng = np.random.default_rng(seed)
    return [
        Trained(row, float(rng.normal()), rng.normal(size=2), (1, 2))
        for row in rng.dirichlet(np.ones(n_domains), m)
    ]


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(2, 9),
    m=st.integers(1, 7),
    seed=st.integers(0, 99),
    continued=st.sampled_from([NOT_CONTINUED, CONTINUED]),
)
def test_both_forms_say_the_same(n: int, m: int, seed: int, continued: ContinuationError) -> None:
    whole = fit_discrepancy(references(n, m, seed), continued=continued)
    shares = np.random.default_rng(seed + 1).dirichlet(np.ones(n), 5)
    mean, deviation = compact(whole).predict(shares)
    wanted, spread = whole.predict(shares)
    np.testing.assert_allclose(mean, wanted, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(deviation, spread, rtol=1e-6, atol=1e-7)
    assert compact(whole).noise == whole.noise


@pytest.mark.parametrize("continued", [NOT_CONTINUED, CONTINUED])
def test_without_references_it_is_what_is_usual(continued: ContinuationError) -> None:
    whole = prior_discrepancy(3, continued=continued)
    shares = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    mean, deviation = compact(whole).predict(shares)
    assert mean.tolist() == [0, 0]
    np.testing.assert_allclose(deviation, whole.predict(shares)[1], rtol=1e-12)


def test_at_the_middle_of_the_usual_one_by_hand() -> None:
    _, deviation = compact(prior_discrepancy(2)).predict(np.array([[0.5, 0.5], [1.0, 0.0]]))
    assert deviation.tolist() == pytest.approx([0.2, 0.0])  # its usual size; nothing at a corner
