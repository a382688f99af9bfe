"""The study's proxy: merges and predictions at points of the experts' runs, put together.

Notation:
    x_p(λ): a metric of mixture λ by part p: an answer (merged or predicted) at a point of the
    experts' runs.  w_p: its weight.

Method:
    Every metric is a weighted sum Σ w_p x_p of what the parts measured, and so are its values per
    example and its derivatives in the shares. The weights continue it to the final horizon, and
    are found once, from the experts and the uniform mixture (`mixwise.scoring.weighing`). A
    metric that jumps, such as an accuracy, is that of the merge at the last point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Protocol

import numpy as np

from mixwise.arrays import Array
from mixwise.extrapolation import NOT_CONTINUED, ContinuationError
from mixwise.mixture import Mixture
from mixwise.objective import Metric, Objective, Scale
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.recipe import hash_section
from mixwise.scorer import VALUES, Request
from mixwise.scoring.gradient_steps import STEP_LEVEL, weigh_steps
from mixwise.scoring.merged import MergedScorer
from mixwise.scoring.weighing import Means, ProxyPart, Weighing, plain_places, weigh

Listener = Callable[[Observation, Request], None]


class Weigh(Protocol):
    """Finds how each metric is put together; see `mixwise.scoring.weighing.weigh`."""

    def __call__(
        self,
        parts: Sequence[ProxyPart],
        anchors: Sequence[Mixture],
        target: float,
        metrics: Sequence[Metric],
        averaged: Sequence[Means],
        base: Mapping[str, float],
    ) -> dict[str, Weighing]:
        """Find how each metric that is continued is put together."""
        ...


@dataclass(frozen=True, slots=True)
class Continuing:
    """A way to say what short experts' scores will be after the final run.

    Args:
        weigh: Finds how each metric is put together.
        level: What the level may miss, a share of what is added, for each doubling of the steps.
    """

    weigh: Weigh
    level: float


BY_RUNS = Continuing(weigh, 0.25)  # over six beds it missed .23 of it, rms
BY_CHECKED_RUNS = replace(BY_RUNS, weigh=partial(weigh, is_checked=True))
BY_GRADIENTS = Continuing(weigh_steps, STEP_LEVEL)


class ProxyScorer:
    """Puts the parts of a proxy together.

    Args:
        parts: One kind of answer after the other, each at points that rise; then those of longer
            steps, rising.
        anchors: Mixtures from which the weights are found: the experts, then the uniform mixture.
        target: Length of the final run.
        continued: Metrics that are continued, and averaged over the answers; all others are those
            of the merge at its last point.
        averaged: Answers that are averaged for these.
        rule: What observations call the whole.
        base: Gives the metrics of the base, which are asked for where scores are continued.
        continuing: How scores are continued.
    """

    def __init__(
        self,
        parts: Sequence[ProxyPart],
        anchors: Sequence[Mixture],
        target: float,
        continued: Sequence[Metric],
        averaged: Sequence[Means],
        rule: str,
        base: Callable[[], Mapping[str, float]],
        continuing: Continuing = BY_RUNS,
    ) -> None:
        self._parts = tuple(parts)
        self._anchors = tuple(anchors)
        self._target = target
        self._continued = tuple(continued)
        self._averaged = tuple(averaged)
        self._rule = rule
        self._base = base
        self._continuing = continuing
        self._listener: Listener | None = None

    @property
    def parts(self) -> tuple[ProxyPart, ...]:
        """What it is put together from, each to be asked by itself."""
        return self._parts

    @property
    def points(self) -> tuple[int, ...]:
        """Steps at which every mixture that is scored is known without a further pass, rising."""
        merged = {self._parts[k].steps for k in self._used if self._parts[k].means == "merged"}
        read = {self._parts[k].steps for k in plain_places(self._parts, "predictions")}
        return tuple(sorted(merged & read if merged and read else merged | read))

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Score mixtures by every part that has a weight."""
        if len(self._parts) == 1:
            with self._telling():
                return self._parts[0].scorer.score(mixtures, request)
        values = replace(VALUES, part=request.part)
        scored = [
            part.scorer.score(mixtures, request if part.means in self._averaged else values)
            for part in (self._parts[k] for k in self._used)
        ]
        found = tuple(
            self._put_together(dict(zip(self._used, parts, strict=True)), request)
            for parts in zip(*scored, strict=True)
        )
        if self._listener is not None:
            for observation in found:
                self._listener(observation, request)
        return found

    def at(self, steps: int) -> ProxyScorer:
        """The proxy as it is at one point, not continued.

        Args:
            steps: One of the points.
        """
        parts = [p for p in self._parts if p.steps == steps and p.coefficient == 1]
        own = (parts, self._anchors, parts[-1].length, self._continued, self._averaged, self._rule)
        return ProxyScorer(*own, self._base)

    @contextmanager
    def told_to(self, listener: Listener) -> Iterator[None]:
        """Tell each observation to someone who counts for himself.

        Args:
            listener: Takes an observation and what had been asked for.
        """
        self._listener = listener
        try:
            yield
        finally:
            self._listener = None

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Let the only part tell, while it measures, what it has found."""
        with ExitStack() as stack:
            only = self._parts[0].scorer
            if self._listener is not None and isinstance(only, MergedScorer):
                stack.enter_context(only.told_to(self._listener))
            yield

    @cached_property
    def _used(self) -> tuple[int, ...]:
        """Places of the parts that have a weight in some metric."""
        weights = [self._last_merge, *(weighing.weights for weighing in self.weighings.values())]
        return tuple(np.flatnonzero(np.any(weights, axis=0)).tolist())

    @cached_property
    def weighings(self) -> Mapping[str, Weighing]:
        """How each metric that is continued is put together; empty where there is one part."""
        if len(self._parts) == 1:
            return {}
        known = (self._parts, self._anchors, self._target, self._continued, self._averaged)
        return self._continuing.weigh(*known, self._base())

    def error(self, objective: Objective, scale: Scale) -> ContinuationError:
        """What continuing may miss of an objective.

        Of a single domain's score it is taken over the experts and the uniform mixture, less what
        shifts all of them alike: from what continuing missed where it could be checked, and from
        half of what the ways to answer differ by. Of the level it is a share of what continuing
        adds to the uniform mixture, for each doubling of the steps, and all of what a line would
        have added that is not followed.

        Args:
            objective: What is maximised.
            scale: Of its metrics.
        """
        longest = max(part.length for part in self._parts)
        if not self.weighings or self._target <= longest:
            return NOT_CONTINUED
        names = [metric.name for metric in objective.metrics]
        rows = [observation.values for observation in self.score(self._anchors)]
        values = np.array([[row[name] for name in names] for row in rows])

        def change(by: Mapping[str, Array]) -> Array:
            moved = [by.get(name, np.zeros(len(values))) for name in names]
            after = objective.aggregate(values + np.stack(moved, axis=1), scale)
            return np.asarray(after - objective.aggregate(values, scale))

        own = self.weighings.items()
        missed, apart = ({n: w.missed for n, w in own}, {n: w.apart for n, w in own})
        single = np.hypot(*(change(by).std(ddof=1) for by in (missed, apart)))
        added = change({name: -weighing.added for name, weighing in own})
        refused = change({n: np.full(len(values), w.refused) for n, w in own})
        doublings = float(np.log2(self._target / longest))
        level = self._continuing.level * doublings * float(added[-1])
        return ContinuationError(float(single), float(np.hypot(level, refused[-1])))

    @cached_property
    def _last_merge(self) -> Array:
        """The weights of all other metrics."""
        weights = np.zeros(len(self._parts))
        places = plain_places(self._parts, "merged") or plain_places(self._parts, "predictions")
        weights[places[-1]] = 1
        return weights

    def _put_together(self, parts: Mapping[int, Observation], request: Request) -> Observation:
        """One observation from those of a mixture by the parts, by the parts' places."""
        names = dict.fromkeys(m.metric for part in parts.values() for m in part.measurements)
        known = self.weighings
        weights = {n: known[n].weights if n in known else self._last_merge for n in names}
        shifts = {name: known[name].shift if name in known else 0.0 for name in names}
        key = hash_section(
            str(request),
            *(part.fingerprint for part in parts.values()),
            *(f"{name}={own.tolist()} {shifts[name]}" for name, own in weights.items()),
        )
        first = next(iter(parts.values()))
        return Observation(
            mixture=first.mixture,
            answer="proxy",
            rule=self._rule,
            seeds=(),
            measurements=tuple(_add(name, parts, weights[name], shifts[name]) for name in names),
            seconds=sum(part.seconds for part in parts.values()),
            tokens_trained=0,
            tokens_evaluated=sum(part.tokens_evaluated for part in parts.values()),
            fingerprint=key,
            provenance={"mixture": str(first.mixture), "rule": self._rule},
        )


def _add(name: str, parts: Mapping[int, Observation], weights: Array, shift: float) -> Measurement:
    """A metric as the weighted sum of what the parts measured, and a shift."""
    terms = [(weights[k], parts[k].measurement(name)) for k in np.flatnonzero(weights).tolist()]
    [(weight, first), *rest] = terms
    if not rest and weight == 1 and not shift:
        return first
    derivatives = [(w, m.derivatives) for w, m in terms if m.derivatives is not None]
    return replace(
        first,
        examples=np.asarray(sum(w * m.examples for w, m in terms)) + shift,
        derivatives=_add_derivatives(derivatives) if len(derivatives) == len(terms) else None,
        answers=None,
    )


def _add_derivatives(terms: Sequence[tuple[float, Derivatives]]) -> Derivatives:
    def total(name: str) -> Array | None:
        found = [(weight, getattr(one, name)) for weight, one in terms]
        if any(values is None for _, values in found):
            return None
        return np.asarray(sum(weight * values for weight, values in found))

    slopes = total("slopes")
    assert slopes is not None
    return Derivatives(slopes, total("hessian"), total("example_slopes"), total("example_hessians"))
