import numpy as np
import pytest

from mixwise.diagnostics.findings import Geometry, mean_between


def test_the_mean_leaves_the_diagonal_out() -> None:
    cosines = np.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.0]])
    assert mean_between(cosines) == pytest.approx(0.3)
    geometry = Geometry(("a", "b", "c"), (0.1, 0.1, 0.1), tuple(map(tuple, cosines)), ())
    assert geometry.mean_cosine == pytest.approx(0.3)


def test_one_expert_has_nobody_to_be_compared_with() -> None:
    assert mean_between(np.ones((1, 1))) == 0.0
