from dataclasses import replace

import numpy as np
from tests.decision.tables import OBJECTIVE, SCALE, SPACE, UNIFORM, Formula, Value, peak

from mixwise.arrays import Array
from mixwise.decision.drift import BestAt, best_along, has_settled
from mixwise.search.problem import Predict, SearchProblem

PROBLEM = SearchProblem(Formula(peak(0.6, 0.3, 0.1)), SPACE, OBJECTIVE, SCALE, None, 0)


def every(value: Value) -> Predict:
    def of(shares: Array) -> Array:
        return np.array([value(row) for row in shares])

    return of


def test_the_best_mixture_is_followed_to_the_final_horizon() -> None:
    final = every(peak(0.6, 0.3, 0.1))
    path = best_along(PROBLEM, final, {4: every(peak(0.2, 0.4, 0.4)), 8: final})
    assert [row.steps for row in path] == [4, 8]
    assert np.allclose(path[0].mixture.array, [0.2, 0.4, 0.4], atol=0.02)
    assert path[0].behind > 0.5
    assert path[1].behind < 1e-3
    assert has_settled(path)


def test_a_path_whose_last_answer_loses_still_moves() -> None:
    last = BestAt(8, UNIFORM, 0.2)
    assert not has_settled([last])
    assert has_settled([last, replace(last, behind=0.01)])
    assert has_settled([])
