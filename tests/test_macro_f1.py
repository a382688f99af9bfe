from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from mixwise import macro_f1_values
from mixwise.errors import EvaluationError
from mixwise.observation import Measurement

LABELS = st.integers(0, 4)


def answers(n: int, *, accuracy: float, seed: int) -> npt.NDArray[np.int64]:
    """Answers to `right(n)` of which so many are right."""
    rng = np.random.default_rng(seed)
    guesses = rng.choice(4, size=n, p=[0.4, 0.3, 0.2, 0.1])
    return np.where(rng.random(n) < accuracy, right(n), guesses)


def right(n: int) -> npt.NDArray[np.int64]:
    """Labels of which some are rare."""
    return np.random.default_rng(1).choice(4, size=n, p=[0.5, 0.3, 0.14, 0.06])


def f1(labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> float:
    held = np.unique(labels)
    return float(f1_score(labels, predicted, labels=held, average="macro", zero_division=0.0))


def test_by_hand() -> None:
    # t = (1, 2), n = (2, 2), m = (1, 3): F = 2/3 and 4/5, mean 11/15; n/|C| = 2
    found = macro_f1_values([0, 0, 1, 1], [0, 1, 1, 1])
    mean = 11 / 15
    expected = [
        mean + 2 * (2 - 4 / 3) / 3,
        mean + 2 * (-(2 / 3) / 3 - (4 / 5) / 5),
        mean + 2 * (2 - 8 / 5) / 5,
        mean + 2 * (2 - 8 / 5) / 5,
    ]
    assert found == pytest.approx(expected)
    assert found.mean() == pytest.approx(mean)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=40))
def test_the_mean_is_what_scikit_learn_gives(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(pairs).T
    assert macro_f1_values(labels, predicted).mean() == pytest.approx(f1(labels, predicted))


def test_a_label_that_no_example_has_counts_as_wrong_alone() -> None:
    assert macro_f1_values([2, 2], [2, 9]).mean() == pytest.approx(2 / 3)
    assert macro_f1_values([2, 2], [2, 0]).mean() == pytest.approx(2 / 3)
    assert macro_f1_values([2, 2], [0, 9]).mean() == 0


def test_values_are_what_weighing_an_example_more_does() -> None:
    labels, predicted, step = right(60), answers(60, accuracy=0.5, seed=2), 1e-5
    weights = np.ones(60)

    def weighed(chosen: npt.NDArray[np.float64]) -> float:
        held = np.unique(labels)
        return float(
            f1_score(labels, predicted, labels=held, average="macro", sample_weight=chosen)
        )

    moved = [
        60 * (weighed(weights + step * (np.arange(60) == e)) - weighed(weights)) / step
        for e in range(60)
    ]
    values = macro_f1_values(labels, predicted)
    assert values - values.mean() == pytest.approx(moved, abs=1e-3)


def test_noise_and_paired_noise_are_the_bootstraps() -> None:
    """To a tenth at 1,000 examples of which the rarest label has 60."""
    n, rng = 1000, np.random.default_rng(0)
    labels, first = right(n), answers(n, accuracy=0.6, seed=3)
    second = np.where(rng.random(n) < 0.2, answers(n, accuracy=0.3, seed=4), first)
    draws = np.array(
        [
            [f1(labels[rows], predicted[rows]) for predicted in (first, second)]
            for rows in rng.integers(n, size=(300, n))
        ]
    )
    values = macro_f1_values(labels, first), macro_f1_values(labels, second)
    assert values[0].std() / n**0.5 == pytest.approx(draws[:, 0].std(), rel=0.1)
    paired = (values[0] - values[1]).std() / n**0.5
    assert paired == pytest.approx((draws[:, 0] - draws[:, 1]).std(), rel=0.1)
    assert paired < 0.8 * values[0].std() / n**0.5


def test_it_is_a_measurement() -> None:
    values = macro_f1_values([0, 1], [0, 0])
    assert Measurement("s/macro_f1", values, np.ones(2)).value == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 1], [0], "have the shapes (2,) and (1,)"),
        ([], [], "have the shapes (0,) and (0,)"),
        ([0, 1], [0.0, 1.0], "`predicted` must be whole numbers, but is of type float64"),
        (["a"], [0], "`right` must be whole numbers, but is of type"),
    ],
)
def test_other_input_is_refused(labels: list[int], predicted: list[int], message: str) -> None:
    with pytest.raises(EvaluationError, match=re.escape(message)):
        macro_f1_values(labels, predicted)
