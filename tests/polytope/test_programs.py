import numpy as np
import pytest

from mixwise.mixture import Limit, MixtureSpace
from mixwise.polytope.programs import farthest, least_missed, reach

SPACE = MixtureSpace(
    tuple("abc"), (0.1, 0.0, 0.0), (1.0,) * 3, (Limit("b >= 2 a", (-2.0, 1.0, 0.0), 0.0, None),)
)


def test_the_farthest_corner_by_hand() -> None:
    found = farthest(SPACE.region, np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert found == pytest.approx(np.array([[1 / 3, 2 / 3, 0.0], [0.1, 0.2, 0.7]]))


def test_how_far_each_share_reaches() -> None:
    low, high = reach(SPACE.region)
    assert low == pytest.approx([0.1, 0.2, 0.0])
    assert high == pytest.approx([1 / 3, 0.9, 0.7])
    assert SPACE.reach()[1] == pytest.approx(tuple(high))


def test_by_how_much_rules_must_be_missed() -> None:
    most = np.eye(2)
    assert least_missed(most, np.array([0.3, 0.5]), 2) == pytest.approx(0.1)
    assert least_missed(most, np.array([0.5, 0.5]), 2) == pytest.approx(0.0, abs=1e-9)
    assert least_missed(np.empty((0, 2)), np.empty(0), 2) == 0
