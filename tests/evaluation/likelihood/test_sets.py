import numpy as np
import pytest

from mixwise.evaluation.likelihood.sets import in_row_order


def test_what_was_read_together_comes_back_in_the_order_of_the_rows() -> None:
    passes = [
        (np.array([2, 0]), np.array([0.2, 0.0])),
        (np.array([1]), np.array([0.1])),
    ]
    assert in_row_order(passes).tolist() == [0.0, 0.1, 0.2]


def test_leading_dimensions_stay() -> None:
    passes = [
        (np.array([1]), np.array([[10.0], [20.0]])),
        (np.array([0]), np.array([[1.0], [2.0]])),
    ]
    assert in_row_order(passes).tolist() == [[1.0, 10.0], [2.0, 20.0]]


def test_a_set_without_rows_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="concatenate"):
        in_row_order([])
