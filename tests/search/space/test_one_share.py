import numpy as np
import pytest

from mixwise.mixture import Limit, MixtureSpace
from mixwise.search.space.one_share import one_share, with_bounds


def test_limits_of_one_share_become_bounds_of_the_same_mixtures() -> None:
    limits = (
        Limit("a = 1/3", (3, 0, 0, 0), 1.0, 1.0),
        Limit("not d above 0.2", (1, 1, 1, 0), 0.8, None),
        Limit("b = c", (0, 1, -1, 0), 0.0, 0.0),
    )
    space = MixtureSpace(tuple("abcd"), (0.1,) * 4, (0.9,) * 4, limits)
    found = with_bounds(space)
    assert found.lower == pytest.approx((1 / 3, 0.1, 0.1, 0.1))
    assert found.upper == pytest.approx((1 / 3, 0.9, 0.9, 0.2))
    assert [limit.name for limit in found.limits] == ["b = c"]
    rng = np.random.default_rng(0)
    for point in rng.dirichlet(np.ones(4), 50):
        assert found.mixture(point).array == pytest.approx(space.mixture(point).array, abs=1e-8)


def test_what_a_limit_says_of_one_share_by_hand() -> None:
    """1 − d ≥ 0.8 is d ≤ 0.2, and 0.2 a + 0.6 b ≥ 0.4 with a + b = 1 is b ≥ 0.5."""
    found = one_share(np.array([1.0, 1.0, 1.0, 0.0]), 0.8, None)
    assert found is not None
    assert (found.place, found.least, found.most) == (3, -np.inf, pytest.approx(0.2))
    two = one_share(np.array([0.2, 0.6]), 0.4, None)
    assert two is not None
    share = {0: two.most, 1: 1 - two.least}[two.place]
    assert share == pytest.approx(0.5)
    assert one_share(np.array([1.0, 1.0, 0.0, 0.0]), 0.5, None) is None
    assert one_share(np.array([2.0, 2.0, 2.0]), 0.5, None) is None
