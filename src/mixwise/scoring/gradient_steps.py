"""How long the steps of experts by gradients are taken, and what their scores say of a longer run.

Notation:
    x_c(λ): a metric of mixture λ by averaged predictions of experts θ₀ + c δ_i, with δ_i the step
    of `mixwise.training.gradients`.  u: the uniform mixture.  b: the metric of the base.
    T, n: steps of the final run, and batches that a gradient is the mean of.

Method:
    Of each metric c is the length at which u scores best. Steps grow from 1 until no metric gains
    any more, then shrink until none does. There is no run whose points a line could be drawn
    through: scores are left as the best step has them, and the level is what such a step is short
    of, a factor of its gain at u that hardly changed with n where the truth is known. What that
    may miss is a share of the gain: of each mixture's, and of the level.

Source:
    The rule for c needs no truth and was fixed on it: ranks of sixteen domains' mixtures, and of
    five domains', in ``docs/science.md``; the factor and what it missed, ``benchmarks/LOG.md``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import MixwiseWarning
from mixwise.mixture import Mixture
from mixwise.objective import Metric
from mixwise.scoring.weighing import Means, ProxyPart, Weighing

STEP_LENGTHS = (0.125, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 10.0)  # c that are tried
STEP_LEVEL = 0.1  # of what is added, a doubling: it missed .33 of that at 4.5, rms
_FACTOR = 2.0  # of the gain at u: 1.7 to 3.0 on three beds, with 8 to 64 times as many steps
_MISSED = 0.5  # of a single domain's gain, rms over the same beds


def weigh_steps(
    parts: Sequence[ProxyPart],
    anchors: Sequence[Mixture],
    target: float,
    metrics: Sequence[Metric],
    averaged: Sequence[Means],
    base: Mapping[str, float],
) -> dict[str, Weighing]:
    """Find how long the steps are taken for each metric.

    Args:
        parts: One for each length, c rising; all of one kind of answer.
        anchors: The experts, then u.
        target: Length of the final run.
        metrics: Those that predictions have.
        averaged: The one kind of answer.
        base: Metrics of the base.
    """
    [means] = averaged
    measured = _search(parts, anchors, metrics)
    _tell_ends(parts, measured, metrics)
    return {
        metric.name: _weighing(metric, parts, measured, means, base[metric.name])
        for metric in metrics
    }


def _search(
    parts: Sequence[ProxyPart], anchors: Sequence[Mixture], metrics: Sequence[Metric]
) -> dict[int, dict[str, Array]]:
    """Metrics of the anchors at each length that was tried, by the part's place."""

    def measure(place: int) -> dict[str, Array]:
        rows = [observation.values for observation in parts[place].scorer.score(anchors)]
        return {m.name: np.array([row[m.name] for row in rows]) for m in metrics}

    first = next(k for k, part in enumerate(parts) if part.coefficient == 1)
    measured = {first: measure(first)}
    for places in (range(first + 1, len(parts)), range(first - 1, -1, -1)):
        best = {m.name: _best(m, measured) for m in metrics}
        for place in places:
            measured[place] = measure(place)
            found = {m.name: _best(m, measured) for m in metrics}
            if found == best:
                break
            best = found
    return measured


def _best(metric: Metric, measured: Mapping[int, Mapping[str, Array]]) -> int:
    """Place of the length at which u scores best; the first that was tried among equals."""
    return max(measured, key=lambda place: metric.sign * measured[place][metric.name][-1])


def _tell_ends(
    parts: Sequence[ProxyPart],
    measured: Mapping[int, Mapping[str, Array]],
    metrics: Sequence[Metric],
) -> None:
    """Say of which metrics a longer or a shorter step than any that is tried might score better."""
    best = {metric.name: _best(metric, measured) for metric in metrics}
    for end, way, rate in ((0, "shorter", "lower"), (len(parts) - 1, "longer", "raise")):
        names = [f"`{name}`" for name, place in best.items() if place == end]
        if names and len(parts) > 1:
            warnings.warn(
                f"experts by gradients: of {', '.join(names)} the best step is "
                f"{parts[end].coefficient:g} times as long as the learning rate makes it, the end "
                f"of the range that is tried: a {way} one may rank mixtures better; {rate} "
                "`training.learning_rate`, or set `experts.method: training`",
                MixwiseWarning,
                stacklevel=4,
            )


def _weighing(
    metric: Metric,
    parts: Sequence[ProxyPart],
    measured: Mapping[int, Mapping[str, Array]],
    means: Means,
    base: float,
) -> Weighing:
    """The metric at its best length, and what that is expected to miss."""
    place = _best(metric, measured)
    weights = np.zeros(len(parts))
    weights[place] = 1
    gained = measured[place][metric.name] - base
    lacked = (_FACTOR - 1) * float(gained[-1])
    return Weighing(
        weights=weights,
        shift=lacked,
        coefficients={means: parts[place].coefficient},
        missed=_MISSED * gained,
        apart=np.zeros(len(gained)),
        added=np.full(len(gained), lacked),
    )
