import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.diagnostics.units.redundancy import Covariance, redundancy
from mixwise.errors import EvaluationError


@pytest.mark.parametrize(
    ("variances", "expected"),
    [
        ([0.94, 0.03, 0.02, 0.01], 3 / 4),  # 1, 3 and 6 %
        ([0.0, 0.0, 0.0, 1.0], 4 / 4),
        ([0.05, 0.95], 2 / 2),  # 5 % is not over 5 %
        ([0.0501, 0.9499], 1 / 2),
        ([1.0] * 100, 6 / 100),
        ([0.0, 0.0], 1.0),
    ],
)
def test_redundancy_of_a_known_spectrum_by_hand(variances: list[float], expected: float) -> None:
    assert redundancy(np.array(variances)) == expected


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_covariance_batch_by_batch_equals_numpys(seed: int, n: int, size: int) -> None:
    rows = torch.from_numpy(np.random.default_rng(seed).normal(100, 1, (41, n)))
    covariance = Covariance()
    for batch in torch.split(rows, size):
        assert covariance.add(batch) is batch
    assert covariance.n == 41
    assert covariance.mean == pytest.approx(rows.mean(dim=0).numpy())
    expected = np.cov(rows.numpy(), rowvar=False, ddof=0).reshape(n, n)
    assert np.allclose(covariance.moments / 41, expected, rtol=1e-9, atol=1e-12)


@given(st.lists(st.just(0.0) | st.floats(1e-6, 1e6), min_size=1, max_size=9), st.integers(-20, 20))
def test_redundancy_is_a_share_that_no_scale_and_no_order_changes(
    variances: list[float], exponent: int
) -> None:
    share = redundancy(np.array(variances))
    assert 0 < share <= 1
    assert redundancy(np.array(variances[::-1])) == share
    assert redundancy(2.0**exponent * np.array(variances)) == share
    twice = redundancy(np.array(variances + [0.0] * len(variances)))
    assert twice == pytest.approx((1 + share) / 2)  # as many units that add nothing


def test_activity_at_every_place_counts() -> None:
    covariance = Covariance()
    covariance.add(torch.randn(2, 5, 7, 3))
    assert (covariance.n, covariance.n_units) == (70, 3)


def test_a_layer_that_was_hardly_active_is_refused() -> None:
    covariance = Covariance()
    with pytest.raises(EvaluationError, match="`fc`: takes no part in the network's predictions"):
        covariance.redundancy("fc")
    covariance.add(torch.randn(3, 3))
    with pytest.raises(EvaluationError, match="its 3 units need activity at more places"):
        covariance.redundancy("fc")
