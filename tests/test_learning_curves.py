import numpy as np
import pytest

from mixwise.learning_curves import add_curves

POINTS = [4.0, 8.0, 16.0]
OWN = np.log(1 + np.array(POINTS))
HALF = np.array([0.5, 0.5])


def gain(*curves: object, shares: object = HALF, target: float = 32.0) -> float:
    found = add_curves(np.array(curves, dtype=float), POINTS, np.array(shares), target)
    assert found is not None
    return found


def test_by_hand_two_domains_that_teach_the_same_are_one() -> None:
    line = np.log2(POINTS)  # 2, 3, 4: a line in log n; 5 after 32 steps
    assert gain(line, line) == pytest.approx(5.0, abs=1e-3)


def test_a_domain_that_teaches_nothing_leaves_the_share_of_the_other() -> None:
    line = np.log2(POINTS)
    assert gain(line, 0 * line) == pytest.approx(4.0, abs=1e-3)  # 16 of 32 steps
    assert gain(line, 0 * line, shares=[0.25, 0.75]) == pytest.approx(3.0, abs=1e-3)


def test_what_one_domain_alone_forgets_the_others_keep_up() -> None:
    line = np.log2(POINTS)
    assert gain(line, -3 * line) == gain(line, 0 * line)


def test_what_loses_ground_counts_for_nothing_where_the_best_loses_it_at_first_too() -> None:
    late = [-1.0, 0.0, 2.0]
    assert gain(late, [-1.0, -1.0, -1.0]) == pytest.approx(2.0)  # 16 of 32 steps
    assert gain(late, np.zeros(3)) == pytest.approx(2.0)


def test_one_expert_alone_is_its_own_curve() -> None:
    assert gain(OWN, OWN / 3, shares=[1.0, 0.0], target=8.0) == pytest.approx(OWN[1], abs=1e-3)


def test_before_the_first_point_a_curve_is_straight_from_zero() -> None:
    assert gain(OWN, 0 * OWN, shares=[0.0625, 0.9375]) == pytest.approx(OWN[0] / 2, abs=1e-3)


def test_where_no_expert_gains_or_one_point_is_there_nothing_is_said() -> None:
    assert add_curves(-np.ones((2, 3)), POINTS, HALF, 32.0) is None
    assert add_curves(np.ones((2, 1)), POINTS[:1], HALF, 32.0) is None


def test_a_larger_share_of_the_best_teacher_gains_more() -> None:
    found = [gain(OWN, OWN / 4, shares=[a, 1 - a]) for a in (0.1, 0.4, 0.7, 1.0)]
    assert found == sorted(found)
