import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.objective import (
    PENALTY,
    Aggregation,
    Floor,
    Measure,
    Metric,
    Objective,
    Scale,
    Term,
)

LOSS = Metric("a", "loss", "min", "nats/token")
ACCURACY = Metric("quiz", "accuracy", "max", is_differentiable=False)
SCALE = Scale({"a/loss": 3.0, "quiz/accuracy": 0.4}, {"a/loss": 0.5, "quiz/accuracy": 0.1})
MODEL = {"a/loss": 2.0, "quiz/accuracy": 0.3}  # gains +2 and −1


def objective(aggregation: Aggregation = "mean", *weights: float) -> Objective:
    first, second = weights or (1.0, 1.0)
    return Objective((Term(LOSS, first), Term(ACCURACY, second)), aggregation)


def test_gains_worked_by_hand() -> None:
    assert objective().gains(np.array([2.0, 0.3]), SCALE) == pytest.approx([2.0, -1.0])


def test_mean_worked_by_hand() -> None:
    assert objective("mean").value(MODEL, SCALE) == pytest.approx(0.5)
    assert objective("mean", 3.0, 1.0).value(MODEL, SCALE) == pytest.approx(1.25)


def test_worst_is_the_smallest_gain_whatever_the_weights() -> None:
    assert objective("worst", 100.0, 1.0).value(MODEL, SCALE) == pytest.approx(-1.0)


@pytest.mark.parametrize("aggregation", ["mean", "worst"])
def test_the_base_itself_scores_zero(aggregation: Aggregation) -> None:
    assert objective(aggregation).value(SCALE.base, SCALE) == 0


def test_a_lower_loss_and_a_higher_accuracy_are_gains() -> None:
    assert LOSS.sign == -1
    assert ACCURACY.sign == 1
    better = {"a/loss": 2.9, "quiz/accuracy": 0.41}
    assert objective("worst").value(better, SCALE) > 0


def test_a_metric_without_spread_gains_nothing() -> None:
    scale = Scale(SCALE.base, {"a/loss": 0.0, "quiz/accuracy": 0.1})
    assert objective().gains(np.array([-99.0, 0.5]), scale) == pytest.approx([0.0, 1.0])


def test_aggregate_keeps_leading_axes() -> None:
    values = np.tile([2.0, 0.3], (4, 3, 1))
    assert objective().aggregate(values, SCALE) == pytest.approx(np.full((4, 3), 0.5))


def test_the_spread_is_the_sample_deviation_over_experts() -> None:
    experts = [{"x/loss": 1.0}, {"x/loss": 2.0}, {"x/loss": 6.0}]
    scale = Scale.measure({"x/loss": 4.0}, experts)
    assert scale.base == {"x/loss": 4.0}
    assert scale.spread["x/loss"] == pytest.approx(7**0.5)  # squares 4, 1, 9 over n − 1 = 2


@given(
    st.floats(-10, 10),
    st.floats(-10, 10),
    st.floats(0.1, 10),
    st.floats(-5, 5),
    st.sampled_from(["mean", "worst"]),
)
@settings(deadline=None, max_examples=50)
def test_a_change_of_unit_changes_nothing(
    first: float, second: float, factor: float, shift: float, aggregation: Aggregation
) -> None:
    values = {"a/loss": first, "quiz/accuracy": second}
    other_values = values | {"a/loss": factor * first + shift}
    other_scale = Scale(
        {**SCALE.base, "a/loss": factor * 3.0 + shift}, {**SCALE.spread, "a/loss": factor * 0.5}
    )
    here = objective(aggregation).value(values, SCALE)
    assert objective(aggregation).value(other_values, other_scale) == pytest.approx(here, abs=1e-9)


def test_names_and_units_are_the_metrics_own() -> None:
    assert LOSS.name == "a/loss"
    assert LOSS.unit == "nats/token"
    assert [metric.name for metric in objective().metrics] == ["a/loss", "quiz/accuracy"]


def test_a_measure_on_a_set_is_a_metric_that_may_be_turned() -> None:
    tokens = Measure("tokens", "min", "tokens", "how long the answers are")
    turned = Metric.of("quiz", tokens, "max")
    assert (turned.name, turned.unit, turned.is_differentiable) == ("quiz/tokens", "tokens", False)
    assert (turned.sign, Metric.of("quiz", tokens).sign) == (1, -1)


def floored(floor: Floor, aggregation: Aggregation = "mean") -> Objective:
    return Objective((Term(LOSS, 1.0),), aggregation, (floor,))


@pytest.mark.parametrize("aggregation", ["mean", "worst"])
def test_a_floor_that_holds_changes_nothing(aggregation: Aggregation) -> None:
    held = floored(Floor(ACCURACY, margin=0.15), aggregation)
    assert held.value(MODEL, SCALE) == pytest.approx(2.0)
    assert [metric.name for metric in held.metrics] == ["a/loss", "quiz/accuracy"]
    assert held.weights.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("aggregation", ["mean", "worst"])
def test_a_floor_that_is_missed_costs_ten_times_the_gap(aggregation: Aggregation) -> None:
    missed = floored(Floor(ACCURACY, margin=0.05), aggregation)  # by half a spread
    assert missed.value(MODEL, SCALE) == pytest.approx(2.0 - 0.5 * PENALTY)


def test_a_floor_may_be_a_value_of_a_metric_that_is_maximised_too() -> None:
    own = floored(Floor(LOSS, value=1.9))
    assert own.metrics == (LOSS,)
    assert own.value(MODEL, SCALE) == pytest.approx(2.0 - 0.2 * PENALTY)


def test_limits_are_on_the_worse_side() -> None:
    assert Floor(LOSS, margin=0.1).limit(SCALE.base) == pytest.approx(3.1)
    assert Floor(ACCURACY, margin=0.1).limit(SCALE.base) == pytest.approx(0.3)
    assert Floor(ACCURACY, value=0.6).limit(SCALE.base) == 0.6


def test_a_metric_that_tells_nothing_apart_has_no_floor() -> None:
    flat = Scale(SCALE.base, {"a/loss": 0.5, "quiz/accuracy": 0.0})
    assert floored(Floor(ACCURACY)).value(MODEL, flat) == pytest.approx(2.0)
