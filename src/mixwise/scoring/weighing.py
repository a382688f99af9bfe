"""How the parts of a proxy are put together: for each metric a weight a part, and a shift.

Notation:
    x(λ): a metric of mixture λ by an answer (merged or predicted) at a point of the experts' runs.
    u: the uniform mixture.  c: what the experts' task vectors are multiplied by.

Method:
    Each answer is continued to the final horizon by itself (`mixwise.extrapolation`), from the
    experts and u. Predictions are continued by longer steps too: of experts θ₀ + c δ at the end of
    their runs, with the c at which u scores best. The two ways err in differences between mixtures
    each in its own way, so that their mean is taken. The level, at u, is the mean of the line's and
    of what the experts' learning curves add up to (`mixwise.learning_curves`), which err in it on
    different sides; both ways are shifted to it. Answers that are asked for together are averaged.
    What would lead a loss below zero is not followed at all, and all that it would have added may
    be missed.

Source:
    Task vectors multiplied by a coefficient: Ilharco et al. 2023 (arXiv 2212.04089). That the mean
    of both ways ranks averages of metrics better, and c of at most 3: development mixtures,
    ``docs/science.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mixwise.arrays import Array
from mixwise.extrapolation import continue_metric
from mixwise.learning_curves import add_curves
from mixwise.mixture import Mixture
from mixwise.objective import Metric
from mixwise.scorer import Scorer

Means = Literal["merged", "predictions"]
LONGER_STEPS = (1.5, 2.0, 3.0)  # c beyond 1, tried until u scores worse in every metric


@dataclass(frozen=True, slots=True)
class ProxyPart:
    """One answer at one point of the experts' runs.

    Args:
        means: Whether weights or predictions are averaged.
        steps: The point.
        length: What so many steps count as at the full learning rate.
        scorer: Who answers.
        coefficient: c.
    """

    means: Means
    steps: int
    length: float
    scorer: Scorer
    coefficient: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Weighing:
    """How one metric is put together; arrays over mixtures are of the experts and u, in that order.

    Args:
        weights: Of each part, shape ``(n_parts,)``; they sum to 1.
        shift: What is added for every mixture alike, in the metric's unit.
        coefficients: c of every answer that is averaged; 1 where no step is longer.
        missed: What continuing is expected to miss, ``(n_mixtures,)``.
        apart: Half of what the answers differ by, ``(n_mixtures,)``; zero where there is one.
        added: What is added to the answers at the experts' end, ``(n_mixtures,)``.
        refused: What the line would have added to u, where it is not followed; else 0.
    """

    weights: Array
    shift: float
    coefficients: Mapping[Means, float]
    missed: Array
    apart: Array
    added: Array
    refused: float = 0.0


def weigh(
    parts: Sequence[ProxyPart],
    anchors: Sequence[Mixture],
    target: float,
    metrics: Sequence[Metric],
    averaged: Sequence[Means],
    base: Mapping[str, float],
    *,
    is_checked: bool = False,
) -> dict[str, Weighing]:
    """Find how each metric that is continued is put together.

    Args:
        parts: Plain ones at points that rise, then those of longer steps, c rising, which may
            have some of the metrics alone; the others have the line alone then.
        anchors: The experts, then u.
        target: Length of the final run.
        metrics: Those that are continued, each in its natural direction.
        averaged: Answers that are averaged.
        base: Metrics of the base.
        is_checked: Whether only a line is followed that has predicted the last point.
    """
    kinds = {
        kind: _Answer(kind, parts, anchors, target, metrics, base, is_checked) for kind in averaged
    }
    return {m.name: _average({name: kind.of(m) for name, kind in kinds.items()}) for m in metrics}


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """One answer of one metric: its parts' weights, and the anchors by each way to continue it."""

    weights: Array
    shift: float
    coefficient: float
    line: Array
    longer: Array
    missed: Array
    plain: Array
    refused: float

    @property
    def answered(self) -> Array:
        """The mean of both ways."""
        return (self.line + self.longer) / 2


class _Answer:
    """One kind of answer, measured at the anchors.

    Args:
        means: The kind.
        parts: All parts of the proxy.
        anchors: The experts, then u.
        target: Length of the final run.
        metrics: Those that are continued.
        base: Metrics of the base.
        is_checked: Whether only a line is followed that has predicted the last point.
    """

    def __init__(
        self,
        means: Means,
        parts: Sequence[ProxyPart],
        anchors: Sequence[Mixture],
        target: float,
        metrics: Sequence[Metric],
        base: Mapping[str, float],
        is_checked: bool,
    ) -> None:
        self._parts = parts
        self._is_checked = is_checked
        self._base = base
        self._anchors = anchors
        self._target = target
        self._plain = plain_places(parts, means)
        self._longer = [
            k for k, part in enumerate(parts) if part.means == means and part.coefficient != 1
        ]
        self._values = {k: self._measure(k) for k in self._plain}
        self._chosen = self._choose(metrics)

    def of(self, metric: Metric) -> _Way:
        """How this answer is continued for a metric."""
        rows = np.stack([self._values[k][metric.name] for k in self._plain], axis=1)
        lengths = [self._parts[k].length for k in self._plain]
        found = continue_metric(rows, lengths, self._target, is_checked=self._is_checked)
        line = rows @ found.weights + found.shift
        off = self._level(metric, rows[:-1], lengths, float(line[-1])) - float(line[-1])
        line, shift = line + off, found.shift + off
        weights = np.zeros(len(self._parts))
        weights[list(self._plain)] = found.weights
        chosen = self._chosen[metric.name]
        coefficient, longer = self._parts[chosen].coefficient, line
        if any(metric.name in self._values.get(k, {}) for k in self._longer):
            own = self._values[chosen][metric.name]
            longer = own + (line[-1] - own[-1])
            weights = weights / 2
            weights[chosen] += 0.5
            shift = (shift + float(line[-1] - own[-1])) / 2
        plain = self._values[self._plain[-1]][metric.name]
        if metric.is_surprise and min(line.min(), longer.min()) < 0:
            weights = np.zeros(len(self._parts))
            weights[self._plain[-1]] = 1
            added = line - plain
            return _Way(weights, 0.0, 1.0, plain, plain, added, plain, float(added[-1]))
        return _Way(weights, shift, coefficient, line, longer, found.missed, plain, found.refused)

    def _level(
        self, metric: Metric, experts: Array, lengths: Sequence[float], line: float
    ) -> float:
        """U at the final horizon: the mean of the line and of the learning curves."""
        base, shares = self._base[metric.name], self._anchors[-1].array
        gained = add_curves(metric.sign * (experts - base), lengths, shares, self._target)
        if gained is None or self._target <= lengths[-1]:
            return line
        return (line + base + metric.sign * gained) / 2

    def _measure(self, place: int) -> dict[str, Array]:
        rows = [one.values for one in self._parts[place].scorer.score(self._anchors)]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def _choose(self, metrics: Sequence[Metric]) -> dict[str, int]:
        """Place of the part at which u scores best, by metric, of the last point and longer steps.

        Steps grow until no metric gains any more.
        """
        best = {metric.name: self._plain[-1] for metric in metrics}
        for k in self._longer:
            self._values[k] = self._measure(k)
            asked = [m for m in metrics if m.name in self._values[k]]
            better = [m.name for m in asked if self._gain(m, k, best[m.name]) > 0]
            best |= dict.fromkeys(better, k)
            if not better:
                break
        return best

    def _gain(self, metric: Metric, place: int, other: int) -> float:
        at_uniform = self._values[place][metric.name][-1] - self._values[other][metric.name][-1]
        return metric.sign * float(at_uniform)


def _average(by_kind: Mapping[Means, _Way]) -> Weighing:
    """The mean of the answers of a metric."""
    ways = list(by_kind.values())
    answered = np.mean([way.answered for way in ways], axis=0)
    return Weighing(
        weights=np.mean([way.weights for way in ways], axis=0),
        shift=float(np.mean([way.shift for way in ways])),
        coefficients={kind: way.coefficient for kind, way in by_kind.items()},
        missed=np.mean([way.missed for way in ways], axis=0),
        apart=(ways[0].answered - ways[-1].answered) / 2,
        added=answered - np.mean([way.plain for way in ways], axis=0),
        refused=float(np.mean([way.refused for way in ways])),
    )


def plain_places(parts: Sequence[ProxyPart], means: Means) -> tuple[int, ...]:
    """Places of a kind of answer from experts as they are, points rising."""
    places = enumerate(parts)
    return tuple(k for k, part in places if part.means == means and part.coefficient == 1)
