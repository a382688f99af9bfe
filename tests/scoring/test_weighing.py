"""Lines and longer steps, from scorers whose every number is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from tests.scoring.mixtures import NAMES

from mixwise.extrapolation import continue_metric
from mixwise.learning_curves import add_curves
from mixwise.mixture import Mixture
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Measurement, Observation
from mixwise.scorer import VALUES, Request
from mixwise.scoring.proxy import BY_CHECKED_RUNS, BY_RUNS, Continuing, ProxyScorer
from mixwise.scoring.weighing import ProxyPart, Weighing, weigh

UNIFORM = Mixture.uniform(NAMES)
ANCHORS = [*(Mixture.single(NAMES, name) for name in NAMES), UNIFORM]
LOSS, GAIN = Metric("set", "loss", "min"), Metric("set", "gain", "max")


class Known:
    """Answers with a function of the first share."""

    def __init__(self, loss: Callable[[float], float]) -> None:
        self._loss = loss
        self.asked = 0

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        self.asked += len(mixtures)
        return tuple(self._observe(mixture) for mixture in mixtures)

    def _observe(self, mixture: Mixture) -> Observation:
        loss = self._loss(mixture.shares[0])
        named = {"set/loss": loss, "set/gain": -loss}
        return Observation(
            mixture=mixture,
            answer="proxy",
            rule="known",
            seeds=(),
            measurements=tuple(
                Measurement(name, np.array([value]), np.ones(1)) for name, value in named.items()
            ),
            seconds=0.0,
            tokens_trained=0,
            tokens_evaluated=0,
            fingerprint=f"{mixture} {loss}",
            provenance={},
        )


def parts(*longer: Callable[[float], float]) -> list[ProxyPart]:
    plain = [
        ProxyPart("predictions", 4, 4.0, Known(lambda a: 3.0 - a)),
        ProxyPart("predictions", 8, 8.0, Known(lambda a: 2.5 - 1.5 * a)),
    ]
    steps = [
        ProxyPart("predictions", 8, 8.0, Known(loss), coefficient)
        for loss, coefficient in zip(longer, (1.5, 2.0, 3.0), strict=False)
    ]
    return [*plain, *steps]


BASE = {"set/loss": 0.0, "set/gain": 0.0}  # no expert gains: the level is the line's


def weighed(
    chosen: Sequence[ProxyPart],
    metric: Metric = LOSS,
    target: float = 16.0,
    base: Mapping[str, float] = BASE,
) -> Weighing:
    return weigh(chosen, ANCHORS, target, [metric], ["predictions"], base)[metric.name]


def answer(chosen: Sequence[ProxyPart], weighing: Weighing, mixture: Mixture) -> float:
    values = [part.scorer.score([mixture])[0].values["set/loss"] for part in chosen]
    return float(weighing.weights @ values + weighing.shift)


def test_without_longer_steps_the_line_is_left() -> None:
    found = weighed(parts())
    assert found.weights.tolist() == [-1.0, 2.0]
    assert found.coefficients == {"predictions": 1.0}


def test_the_mean_of_line_and_longer_step_has_the_level_of_the_line() -> None:
    chosen = parts(lambda a: 2.0 - 3 * a)
    found = weighed(chosen)
    line = continue_metric(
        np.array([[3.0 - m.shares[0], 2.5 - 1.5 * m.shares[0]] for m in ANCHORS]), [4, 8], 16
    )
    assert found.coefficients == {"predictions": 1.5}
    at_uniform = line.weights @ [3.0 - 1 / 3, 2.0] + line.shift
    assert answer(chosen, found, UNIFORM) == pytest.approx(at_uniform)
    other = Mixture(NAMES, (0.5, 0.25, 0.25))
    rise = answer(chosen, found, other) - at_uniform
    assert rise == pytest.approx((-2.0 - 3.0) / 2 * (0.5 - 1 / 3))  # of the line, of the step
    assert found.weights.sum() == pytest.approx(1.0)


def test_the_step_at_which_uniform_is_best_is_taken_and_no_longer_one_read() -> None:
    worse = Known(lambda a: 5.0)
    chosen = parts(lambda a: 1.9 - a, lambda a: 2.4 - a)
    chosen.append(ProxyPart("predictions", 8, 8.0, worse, 3.0))
    assert weighed(chosen).coefficients == {"predictions": 1.5}
    assert worse.asked == 0


def test_what_would_lead_a_loss_below_zero_is_not_followed() -> None:
    steep = [
        ProxyPart("predictions", 4, 4.0, Known(lambda a: 1.0 - 0.2 * a)),
        ProxyPart("predictions", 8, 8.0, Known(lambda a: 0.6 - 0.4 * a)),
    ]
    surprise = Metric("set", "loss", "min", "nats/token")
    found = weighed(steep, surprise)
    assert (found.weights.tolist(), found.shift) == ([0.0, 1.0], 0.0)
    assert not found.added.any()
    line = weighed(steep)  # of no unit, it may be anything
    assert found.missed == pytest.approx(line.added)
    assert found.refused == pytest.approx(line.added[-1])
    assert min(line.added + np.array([0.2, 0.6, 0.6, 0.6 - 0.4 / 3])) < 0


@pytest.mark.parametrize(("continuing", "level"), [(BY_RUNS, 0.25 * 0.4), (BY_CHECKED_RUNS, 0.4)])
def test_of_a_level_that_is_not_followed_all_may_be_missed(
    continuing: Continuing, level: float
) -> None:
    back_and_forth = (lambda a: 2.0 - a, lambda a: 2.6 - a, lambda a: 2.2 - a)
    points = [
        ProxyPart("merged", steps, float(steps), Known(loss))
        for steps, loss in zip((4, 8, 16), back_and_forth, strict=True)
    ]
    proxy = ProxyScorer(
        points, ANCHORS, 32.0, [LOSS], ["merged"], "known", lambda: BASE, continuing
    )
    objective = Objective((Term(LOSS, 1.0),))
    error = proxy.error(objective, Scale({LOSS.name: 0.0}, {LOSS.name: 1.0}))
    assert error.level == pytest.approx(level)


def test_a_metric_that_rises_is_best_where_it_is_largest() -> None:
    found = weighed(parts(lambda a: 1.9 - a, lambda a: 1.5 - a), GAIN)
    assert found.coefficients == {"predictions": 2.0}


def test_where_no_step_gains_the_experts_are_taken_as_they_are() -> None:
    found = weighed(parts(lambda a: 4.0 - a))
    assert found.coefficients == {"predictions": 1.0}
    assert found.weights.tolist() == [-0.5, 1.5, 0.0]


def test_what_the_two_ways_of_one_answer_differ_by_is_no_error() -> None:
    assert not weighed(parts(lambda a: 2.0 - 3 * a)).apart.any()


def test_the_level_is_the_mean_of_the_line_and_of_the_learning_curves() -> None:
    chosen = parts(lambda a: 2.0 - 3 * a)
    rows = np.array([[3.0 - m.shares[0], 2.5 - 1.5 * m.shares[0]] for m in ANCHORS])
    line = continue_metric(rows, [4, 8], 16)
    gained = add_curves(4.0 - rows[:-1], [4, 8], UNIFORM.array, 16)
    assert gained is not None
    expected = (float(line.weights @ rows[-1] + line.shift) + 4.0 - gained) / 2
    for metric, sign in ((LOSS, 1), (GAIN, -1)):
        found = weighed(chosen, metric, base={"set/loss": 4.0, "set/gain": -4.0})
        values = [part.scorer.score([UNIFORM])[0].values[metric.name] for part in chosen]
        assert found.weights @ values + found.shift == pytest.approx(sign * expected)


def test_experts_as_long_as_the_final_run_have_the_level_that_was_measured() -> None:
    found = weighed(parts(), target=8.0, base={"set/loss": 4.0, "set/gain": -4.0})
    assert found.shift == 0
    assert found.weights.tolist() == [0.0, 1.0]
