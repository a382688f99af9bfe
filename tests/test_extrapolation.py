import numpy as np
import pytest

from mixwise.extrapolation import continue_metric, gain

POINTS = (4.0, 8.0, 16.0)
PACES = np.array([0.1, 0.2, 0.4, 0.25])[:, None]


def line(steps: float | np.ndarray) -> np.ndarray:
    """Losses of four mixtures, straight in log h, the last of them uniform."""
    return np.asarray(3.0 - PACES * np.log(steps))


def test_a_straight_line_in_the_logarithm_is_continued_exactly() -> None:
    rows = line(np.array(POINTS))
    found = continue_metric(rows, POINTS, 64.0)
    assert rows @ found.weights == pytest.approx(line(64.0)[:, 0])
    assert found.shift == pytest.approx(0)
    assert found.missed == pytest.approx(np.zeros(4), abs=1e-12)


def test_far_away_differences_are_held_and_the_level_follows_the_uniform_mixture() -> None:
    rows = line(np.array(POINTS))
    found = continue_metric(rows, POINTS, 1024.0)
    continued = rows @ found.weights + found.shift
    assert continued[-1] == pytest.approx(line(1024.0)[-1, 0])
    near = rows @ continue_metric(rows, POINTS, 64.0).weights
    assert continued - continued[-1] == pytest.approx(near - near[-1])


def test_weights_keep_a_level_that_does_not_change() -> None:
    found = continue_metric(np.full((3, 3), 2.0), POINTS, 64.0)
    assert found.weights.sum() == pytest.approx(1)
    assert found.missed == pytest.approx(np.zeros(3))


@pytest.mark.parametrize(("points", "target"), [((8.0,), 16.0), ((8.0, 16.0), 16.0)])
def test_nothing_is_continued_from_one_point_or_to_where_it_ends(
    points: tuple[float, ...], target: float
) -> None:
    found = continue_metric(np.ones((3, len(points))), points, target)
    assert found.weights.tolist() == [0.0] * (len(points) - 1) + [1.0]
    assert found.shift == 0
    assert not found.missed.any()


def test_what_no_earlier_point_checks_may_miss_half_of_what_is_added() -> None:
    rows = np.array([[3.0, 2.0], [3.0, 2.5]])
    found = continue_metric(rows, (8.0, 16.0), 32.0)
    assert found.missed == pytest.approx(0.5 * (rows @ found.weights - rows[:, 1]))


def test_what_an_earlier_point_shows_to_be_bent_is_expected_to_bend() -> None:
    rows = 3.0 + PACES * np.array(POINTS) ** -1.0  # a power law: flatter at every halving
    missed = continue_metric(rows, POINTS, 32.0).missed
    steps = rows[:, 1:] - rows[:, :-1]
    assert missed == pytest.approx(steps[:, 1] - steps[:, 0])


def test_the_farther_the_target_the_larger_the_gain() -> None:
    assert gain([8, 16], 32) == pytest.approx(1)
    assert gain([8, 16], 64) == pytest.approx(2)
    assert gain([10, 16], 64) > 2


@pytest.mark.parametrize("points", [POINTS, POINTS[1:]])
def test_what_is_missed_grows_with_the_distance_beyond_two_steps_too(
    points: tuple[float, ...],
) -> None:
    rows = (3.0 + PACES * np.array(POINTS) ** -1.0)[:, -len(points) :]
    near = continue_metric(rows, points, 32.0)
    far = continue_metric(rows, points, 256.0)
    assert far.missed == pytest.approx(4 * near.missed)  # four doublings where one was checked
    assert far.weights == pytest.approx(continue_metric(rows, points, 64.0).weights)


def test_a_line_that_predicted_the_last_point_worse_than_no_change_is_not_followed() -> None:
    back_and_forth = np.array([[1.0, 1.4, 1.1], [1.0, 1.0, 1.0], [1.0, 0.8, 0.9], [1.0, 1.1, 1.0]])
    found = continue_metric(back_and_forth, POINTS, 64.0, is_checked=True)
    assert back_and_forth @ found.weights + found.shift == pytest.approx(back_and_forth[:, -1])
    plain = continue_metric(back_and_forth, POINTS, 64.0)
    assert found.missed == pytest.approx(plain.missed)
    assert found.refused == pytest.approx(2 * (1.0 - 1.1))  # two doublings of u's last step
    assert plain.refused == 0
    rows = line(np.array(POINTS))
    earned = continue_metric(rows, POINTS, 64.0, is_checked=True)
    assert rows @ earned.weights == pytest.approx(line(64.0)[:, 0])


def test_the_level_may_stay_where_differences_grow() -> None:
    rows = line(np.array(POINTS)) + np.array([0.0, 0.9, 0.3])  # all alike, back and forth
    found = continue_metric(rows, POINTS, 64.0, is_checked=True)
    continued = rows @ found.weights + found.shift
    assert continued[-1] == pytest.approx(rows[-1, -1])
    expected = line(64.0)[:, 0]
    assert continued - continued[-1] == pytest.approx(expected - expected[-1])
