"""Which labelled domains to train on for a target that none of them holds: numbers of the tables.

Notation:
    A: the domains whose vendor is not the target's.  T: steps of a run.

Method:
    A problem is a test set of one vendor and the mixtures of A. A way gives each mixture a score,
    larger is better: by merges (accuracy, or minus the loss), by averaged predictions, or by either
    continued to T with the product's own `weigh`, found from the corners and the uniform mixture of
    A: merges, which are the default, through the points that the table has, predictions through
    three points and by longer steps. Truth is the accuracy, or minus the loss, of trained models, a
    column a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from benchmarks.truth.horizons import longer
from benchmarks.truth.labelled import LABELLED_BEDS
from benchmarks.truth.labelled_table import LabelledRun, load_labelled
from benchmarks.truth.subsets_bed import LONGER_POINTS, MERGED_POINTS, POINTS, STEPS

from mixwise.arrays import Array
from mixwise.mixture import Mixture
from mixwise.objective import Metric
from mixwise.scoring.table import TableRow, TableScorer
from mixwise.scoring.weighing import LONGER_STEPS, Means, ProxyPart, weigh

Measure = Literal["accuracy", "loss"]
Candidates = Literal["subsets", "ratios", "all"]
_N_CONTINUED = 3  # points of the experts' runs that the line is drawn through


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A bed's table.

    Args:
        bed: Its name.
        mixtures: All of them.
        rows: By key.
        base: The base's row.
    """

    bed: str
    mixtures: tuple[Mixture, ...]
    rows: dict[tuple[str, int, int, str], LabelledRun]
    base: LabelledRun

    @classmethod
    def of(cls, bed: str) -> Answers:
        """Load a bed's table."""
        runs = load_labelled(bed)
        mixtures = {str(run.mixture): run.mixture for run in runs if run.answer == "reference"}
        base = next(run for run in runs if run.answer == "base")
        return cls(bed, tuple(mixtures.values()), {run.key: run for run in runs}, base)

    def values(
        self, answer: str, steps: int, mixtures: Sequence[Mixture], measure: Measure
    ) -> Array:
        """Of each test set, larger is better, ``(n_mixtures, n_sets)``."""
        found = [self.rows[answer, steps, 0, str(mixture)] for mixture in mixtures]
        return np.array([_values(run, measure) for run in found])

    def truth(self, mixtures: Sequence[Mixture], measure: Measure) -> Array:
        """Of the trained models, ``(n_mixtures, n_seeds, n_sets)``; NaN where a seed is missing."""
        keys = [("reference", STEPS, str(mixture)) for mixture in mixtures]
        seeds = sorted({seed for answer, _, seed, _ in self.rows if answer == "reference"})
        none = [np.nan] * len(LABELLED_BEDS[self.bed].domains)
        return np.array(
            [
                [
                    _values(self.rows[answer, steps, seed, name], measure)
                    if (answer, steps, seed, name) in self.rows
                    else none
                    for seed in seeds
                ]
                for answer, steps, name in keys
            ]
        )

    def is_subset(self, mixture: Mixture) -> bool:
        """Whether it is a plain average of a subset, which was trained with more seeds."""
        return str(mixture) == str(Mixture.uniform(mixture.domains, mixture.support))


def _values(run: LabelledRun, measure: Measure) -> list[float]:
    if measure == "accuracy":
        return list(run.accuracies.values())
    return [-loss for loss in run.losses.values()]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A target, and the mixtures of the other vendors' domains.

    Args:
        answers: The bed's table.
        target: Name of the test set.
        mixtures: Of A.
    """

    answers: Answers
    target: str
    mixtures: tuple[Mixture, ...]

    @property
    def domains(self) -> tuple[str, ...]:
        """A."""
        vendors = LABELLED_BEDS[self.answers.bed].vendors
        return tuple(name for name in vendors if vendors[name] != vendors[self.target])

    def truth(self, measure: Measure = "accuracy") -> Array:
        """Of the trained models, ``(n_mixtures, n_seeds)``; NaN where a seed is missing."""
        found = self.answers.truth(self.mixtures, measure)[..., self._column]
        return found[:, np.isfinite(found).any(axis=0)]

    def scores(self, answer: str, steps: int, measure: Measure) -> Array:
        """What an answer gives to each mixture, ``(n_mixtures,)``."""
        return self.answers.values(answer, steps, self.mixtures, measure)[:, self._column]

    @property
    def shares(self) -> Array:
        """Of the domains of A, ``(n_mixtures, n_domains)``."""
        return np.array([[m.as_dict()[name] for name in self.domains] for m in self.mixtures])

    def continued(self, answer: Means, end: int) -> Array:
        """Minus the loss, continued to the final horizon as the product does, ``(n_mixtures,)``.

        Args:
            answer: Merges, the default, or predictions.
            end: Steps of the experts.
        """
        places = MERGED_POINTS if answer == "merged" else POINTS
        points = [point for point in places if point <= end][-_N_CONTINUED:]
        asked = [(str(answer), point, 1.0) for point in points]
        if answer == "predictions" and end in LONGER_POINTS:
            asked += [(longer(c), end, c) for c in LONGER_STEPS]
        singles = [Mixture.single(self.domains, name) for name in self.domains]
        anchors = [*singles, Mixture.uniform(self.domains)]
        parts = [
            ProxyPart(answer, steps, steps, self._scorer(kind, steps, anchors), c)
            for kind, steps, c in asked
        ]
        metric = Metric(self.target, "loss", "min")
        base = {metric.name: self.answers.base.losses[self.target]}
        found = weigh(parts, anchors, STEPS, [metric], (answer,), base, is_checked=True)[
            metric.name
        ]
        stacked = [self.scores(kind, steps, "loss") for kind, steps, _ in asked]
        return np.asarray(found.weights @ np.stack(stacked) - found.shift)

    def place(self, members: Sequence[str]) -> int:
        """Where the plain average of some domains stands."""
        every = tuple(LABELLED_BEDS[self.answers.bed].vendors)
        return [str(m) for m in self.mixtures].index(str(Mixture.uniform(every, members)))

    @property
    def _column(self) -> int:
        return list(LABELLED_BEDS[self.answers.bed].vendors).index(self.target)

    def _scorer(self, answer: str, steps: int, anchors: Sequence[Mixture]) -> TableScorer:
        """The anchors by an answer, as mixtures of A alone."""
        every = tuple(LABELLED_BEDS[self.answers.bed].vendors)
        rows = []
        for anchor in anchors:
            name = str(Mixture.uniform(every, anchor.support))
            loss = self.answers.rows[answer, steps, 0, name].losses[self.target]
            rows.append(TableRow(anchor, {f"{self.target}/loss": loss}))
        return TableScorer(rows, answer="proxy")


def problems(answers: Answers, candidates: Candidates) -> list[Problem]:
    """Every test set as a target.

    Args:
        answers: The bed's table.
        candidates: Plain averages of subsets, mixtures by ratios, or all.
    """
    vendors = LABELLED_BEDS[answers.bed].vendors
    asked = {
        "subsets": [mixture for mixture in answers.mixtures if answers.is_subset(mixture)],
        "ratios": [mixture for mixture in answers.mixtures if not answers.is_subset(mixture)],
        "all": answers.mixtures,
    }[candidates]
    return [
        Problem(
            answers,
            target,
            tuple(m for m in asked if all(vendors[name] != vendor for name in m.support)),
        )
        for target, vendor in vendors.items()
    ]
