"""The study's proxy: merges and predictions at points of the experts' runs, put together.

Notation:
    x_pj(λ): a metric of mixture λ by answer p (merged or predicted) at point j.  w_pj: its weight.

Method:
    Every metric is a weighted sum Σ w_pj x_pj of what the parts measured, and so are its values per
    example and its derivatives in the shares. Each answer is continued to the final horizon by
    itself (`mixwise.extrapolation`), and the answers that are asked for are averaged. A
    metric that jumps, such as an accuracy, is that of the merge at the last point. The weights are
    found once, from the experts and the uniform mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from mixwise.arrays import Array
from mixwise.extrapolation import (
    NOT_CONTINUED,
    Continuation,
    ContinuationError,
    continue_metric,
)
from mixwise.mixture import Mixture
from mixwise.objective import Objective, Scale
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.recipe import hash_section
from mixwise.scorer import VALUES, Request, Scorer
from mixwise.scoring.merged import MergedScorer

Means = Literal["merged", "predictions"]
Listener = Callable[[Observation, Request], None]
_LEVEL = 1.0  # of what is added: over two families it missed between −0.7 and 1.2 of it


@dataclass(frozen=True, slots=True)
class ProxyPart:
    """One answer at one point of the experts' runs.

    Args:
        means: Whether weights or predictions are averaged.
        steps: The point.
        length: What so many steps count as at the full learning rate.
        scorer: Who answers.
    """

    means: Means
    steps: int
    length: float
    scorer: Scorer


class ProxyScorer:
    """Puts the parts of a proxy together.

    Args:
        parts: One kind of answer after the other, each at the same points, which rise.
        anchors: Mixtures from which the weights are found: the experts, then the uniform mixture.
        target: Length of the final run.
        continued: Metrics that are continued, and averaged over the answers; all others are those
            of the merge at its last point.
        averaged: Answers that are averaged for these.
        rule: What observations call the whole.
    """

    def __init__(
        self,
        parts: Sequence[ProxyPart],
        anchors: Sequence[Mixture],
        target: float,
        continued: Sequence[str],
        averaged: Sequence[Means],
        rule: str,
    ) -> None:
        self._parts = tuple(parts)
        self._anchors = tuple(anchors)
        self._target = target
        self._continued = tuple(continued)
        self._averaged = tuple(averaged)
        self._rule = rule
        self._listener: Listener | None = None

    @property
    def parts(self) -> tuple[ProxyPart, ...]:
        """What it is put together from, each to be asked by itself."""
        return self._parts

    @property
    def points(self) -> tuple[int, ...]:
        """Steps at which every mixture that is scored is measured, rising."""
        return tuple(sorted({self._parts[k].steps for k in self._used}))

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
        parts = [part for part in self._parts if part.steps == steps]
        own = (parts, self._anchors, parts[-1].length, self._continued, self._averaged, self._rule)
        return ProxyScorer(*own)

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
        weights = [self._last_merge, *self._weights.values()]
        return tuple(np.flatnonzero(np.any(weights, axis=0)).tolist())

    def _places(self, kind: Means) -> list[int]:
        """The parts of a kind of answer."""
        return [k for k, part in enumerate(self._parts) if part.means == kind]

    @cached_property
    def _anchored(self) -> Mapping[str, Mapping[Means, Array]]:
        """Metrics that are continued, of the anchors at each point, ``(n_anchors, n_points)``."""
        found: dict[str, dict[Means, Array]] = {name: {} for name in self._continued}
        for kind in self._averaged:
            scored = [self._parts[k].scorer.score(self._anchors) for k in self._places(kind)]
            rows = [[observation.values for observation in of_part] for of_part in scored]
            for name in self._continued:
                values = [[row[name] for row in of_part] for of_part in rows]
                found[name][kind] = np.array(values).T
        return found

    @cached_property
    def continuations(self) -> Mapping[str, Mapping[Means, Continuation]]:
        """How each metric is continued by each kind of answer; empty where there is one part."""
        if len(self._parts) == 1:
            return {}
        lengths = {k: [self._parts[i].length for i in self._places(k)] for k in self._averaged}
        return {
            name: {k: continue_metric(rows, lengths[k], self._target) for k, rows in kinds.items()}
            for name, kinds in self._anchored.items()
        }

    def error(self, objective: Objective, scale: Scale) -> ContinuationError:
        """What continuing may miss of an objective.

        Of a single domain's score it is taken over the experts and the uniform mixture, less what
        shifts all of them alike: from what continuing missed where it could be checked, and from
        half of what the kinds of answers differ by. Of the level it is as much as what continuing
        adds to the uniform mixture.

        Args:
            objective: What is maximised.
            scale: Of its metrics.
        """
        if not self.continuations or self._target <= self._parts[-1].length:
            return NOT_CONTINUED
        names = [metric.name for metric in objective.metrics]
        scored = self.score(self._anchors)
        values = np.array([[o.values[name] for name in names] for o in scored])

        def change(by: Mapping[str, Array]) -> Array:
            moved = [by.get(name, np.zeros(len(values))) for name in names]
            after = objective.aggregate(values + np.stack(moved, axis=1), scale)
            return np.asarray(after - objective.aggregate(values, scale))

        missed, apart, added = {}, {}, {}
        for name, answers in self.continuations.items():
            rows = self._anchored[name]
            totals = [rows[kind] @ c.weights + c.shift for kind, c in answers.items()]
            missed[name] = np.mean([c.missed for c in answers.values()], axis=0)
            apart[name] = (totals[0] - totals[-1]) / 2
            added[name] = np.mean([rows[kind][:, -1] for kind in answers], axis=0) - np.mean(
                totals, axis=0
            )
        single = np.hypot(*(change(by).std(ddof=1) for by in (missed, apart)))
        return ContinuationError(float(single), _LEVEL * abs(float(change(added)[-1])))

    @cached_property
    def _weights(self) -> Mapping[str, Array]:
        """Of every metric that is continued, a weight for each part."""
        weights = {}
        for name, answers in self.continuations.items():
            weights[name] = np.zeros(len(self._parts))
            for kind, continuation in answers.items():
                weights[name][self._places(kind)] = continuation.weights / len(answers)
        return weights

    @cached_property
    def _shifts(self) -> Mapping[str, float]:
        """Of every metric that is continued, what is added for all mixtures alike."""
        continued = self.continuations.items()
        return {name: float(np.mean([c.shift for c in a.values()])) for name, a in continued}

    @cached_property
    def _last_merge(self) -> Array:
        """The weights of all other metrics."""
        weights = np.zeros(len(self._parts))
        merged = self._places("merged") or range(len(self._parts))
        weights[merged[-1]] = 1
        return weights

    def _put_together(self, parts: Mapping[int, Observation], request: Request) -> Observation:
        """One observation from those of a mixture by the parts, by the parts' places."""
        names = dict.fromkeys(m.metric for part in parts.values() for m in part.measurements)
        weights = {name: self._weights.get(name, self._last_merge) for name in names}
        key = hash_section(
            str(request),
            *(part.fingerprint for part in parts.values()),
            *(f"{name}={own.tolist()} {self._shifts.get(name)}" for name, own in weights.items()),
        )
        first = next(iter(parts.values()))
        return Observation(
            mixture=first.mixture,
            answer="proxy",
            rule=self._rule,
            seeds=(),
            measurements=tuple(
                _add(name, parts, weights[name], self._shifts.get(name, 0.0)) for name in names
            ),
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
