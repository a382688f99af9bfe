"""The length of the steps, from scorers whose every number is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from tests.scoring.test_weighing import ANCHORS, BASE, GAIN, LOSS, Known

from mixwise.errors import MixwiseWarning
from mixwise.mixture import Mixture
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Observation
from mixwise.scorer import VALUES, Request
from mixwise.scoring.gradient_steps import STEP_LENGTHS, weigh_steps
from mixwise.scoring.proxy import BY_GRADIENTS, ProxyScorer
from mixwise.scoring.weighing import ProxyPart, Weighing


def steps(best: float) -> list[ProxyPart]:
    """Steps of which the one of a length lowers the loss most: by 2 at a half, by a's share."""
    return [
        ProxyPart("predictions", 4, 4.0, Known(lambda a, c=c: abs(np.log(c / best)) - 2.0 - a), c)
        for c in STEP_LENGTHS
    ]


def weighed(parts: list[ProxyPart], metric: Metric = LOSS) -> Weighing:
    return weigh_steps(parts, ANCHORS, 64.0, [metric], ["predictions"], BASE)[metric.name]


@pytest.mark.parametrize(
    ("best", "way"),
    [(0.125, "a shorter .*; lower"), (10.0, "a longer .*; raise `training.learning_rate`")],
)
def test_the_end_of_the_range_is_told(best: float, way: str) -> None:
    with pytest.warns(MixwiseWarning, match=rf"`set/loss` the best step is {best:g} times.*{way}"):
        found = weighed(steps(best))
    assert found.coefficients == {"predictions": best}


@pytest.mark.parametrize("best", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("metric", [LOSS, GAIN])
def test_the_length_is_that_at_which_uniform_scores_best(best: float, metric: Metric) -> None:
    found = weighed(steps(best), metric)
    assert found.coefficients == {"predictions": best}
    assert found.weights.tolist() == [float(c == best) for c in STEP_LENGTHS]


def test_no_length_is_tried_beyond_the_first_that_helps_nothing() -> None:
    parts = steps(2.0)
    weighed(parts)
    asked = {part.coefficient for part in parts if part.scorer.asked}  # type: ignore[attr-defined]
    assert asked == {0.5, 1.0, 1.5, 2.0, 3.0}


def test_lengths_are_tried_until_no_metric_gains() -> None:
    parts = steps(1.0)
    slow = [
        ProxyPart("predictions", 4, 4.0, _Two(part.scorer, other.scorer), part.coefficient)  # type: ignore[arg-type]
        for part, other in zip(parts, steps(7.0), strict=True)
    ]
    found = weigh_steps(slow, ANCHORS, 64.0, [LOSS, GAIN], ["predictions"], BASE)
    assert found["set/loss"].coefficients == {"predictions": 1.0}
    assert found["set/gain"].coefficients == {"predictions": 7.0}


class _Two:
    """The loss of one scorer beside the gain of another."""

    def __init__(self, of_loss: Known, of_gain: Known) -> None:
        self._scorers = of_loss, of_gain

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        pairs = zip(*(scorer.score(mixtures) for scorer in self._scorers), strict=True)
        return tuple(
            dataclasses.replace(one, measurements=(one.measurements[0], other.measurements[1]))
            for one, other in pairs
        )


def test_level_and_misses_worked_by_hand() -> None:
    found = weighed(steps(1.0))
    third = 1 / 3
    assert found.shift == pytest.approx(-(2 + third))  # the gain of u, once more
    np.testing.assert_allclose(found.missed, [-1.5, -1.0, -1.0, -(1 + third / 2)])
    np.testing.assert_allclose(found.added, -(2 + third))
    assert not found.apart.any()


def test_the_interval_holds_what_was_measured() -> None:
    """Sixteen domains, 64 times as many steps: the level missed .3 of the gain, and it may."""
    proxy = ProxyScorer(
        steps(1.0),
        ANCHORS,
        64.0,
        [LOSS],
        ["predictions"],
        "predictions",
        lambda: BASE,
        BY_GRADIENTS,
    )
    objective = Objective((Term(LOSS, 1.0, None),), "mean", ())
    apart = [{"set/loss": loss, "set/gain": -loss} for loss in (-1.0, 1.0)]
    scale = Scale.measure(BASE, apart)
    error = proxy.error(objective, scale)
    spread = float(np.std([-1.5, -1.0, -1.0, -(1 + 1 / 6)], ddof=1))
    per_unit = objective.value({"set/loss": -1.0}, scale) - objective.value(BASE, scale)
    assert error.single == pytest.approx(spread * per_unit)
    assert error.level == pytest.approx(0.1 * 4 * (2 + 1 / 3) * per_unit)
    [uniform] = proxy.score(ANCHORS[-1:])
    assert uniform.values["set/loss"] == pytest.approx(2 * -(2 + 1 / 3))
