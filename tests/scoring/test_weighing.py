"""Lines and longer steps, from scorers whose every number is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from tests.scoring.mixtures import NAMES

from mixwise.extrapolation import continue_metric
from mixwise.mixture import Mixture
from mixwise.objective import Metric
from mixwise.observation import Measurement, Observation
from mixwise.scorer import VALUES, Request
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


def weighed(chosen: Sequence[ProxyPart], metric: Metric = LOSS, target: float = 16.0) -> Weighing:
    return weigh(chosen, ANCHORS, target, [metric], ["predictions"])[metric.name]


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


def test_a_metric_that_rises_is_best_where_it_is_largest() -> None:
    found = weighed(parts(lambda a: 1.9 - a, lambda a: 1.5 - a), GAIN)
    assert found.coefficients == {"predictions": 2.0}


def test_where_no_step_gains_the_experts_are_taken_as_they_are() -> None:
    found = weighed(parts(lambda a: 4.0 - a))
    assert found.coefficients == {"predictions": 1.0}
    assert found.weights.tolist() == [-0.5, 1.5, 0.0]


def test_what_the_two_ways_of_one_answer_differ_by_is_no_error() -> None:
    assert not weighed(parts(lambda a: 2.0 - 3 * a)).apart.any()
