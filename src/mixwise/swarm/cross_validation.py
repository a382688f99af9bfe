"""What surrogates say of runs that they did not see.

Method:
    Runs of one mixture stay together; mixtures are dealt to five folds, and the runs of each fold
    are predicted from all others. Of a metric's surrogates with one length and with a length per
    domain the one that errs less is taken. What is told of the error is that of the better of two,
    which is a little too good.

Source:
    Stone 1974 (JRSS B 36), cross-validatory choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from mixwise.arrays import Array
from mixwise.progress import OnProgress, Progress, silent
from mixwise.search.surrogates.hellinger import HellingerModel, fit_hellinger
from mixwise.swarm.surface import SwarmSurface, Units
from mixwise.swarm.table import SwarmTable

_N_FOLDS = 5
_HELD = 0.95  # of the held-out runs, which intervals of that level must hold
_INDEPENDENT = 0.1  # of the correlation's weight that goes to none at all: few runs tell little


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """One metric predicted for runs that its surrogate did not see.

    Args:
        length_per_domain: Which surrogate it is.
        predicted: By run, ``(n_runs,)``.
        deviation: Of each prediction, the noise of a run included.
        model: The surrogate of all runs.
    """

    length_per_domain: bool
    predicted: Array
    deviation: Array
    model: HellingerModel


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidated:
    """All metrics.

    Args:
        metrics: In the table's order.
        surface: The objective by the surrogates of all runs.
    """

    metrics: tuple[HeldOut, ...]
    surface: SwarmSurface

    @property
    def predicted(self) -> Array:
        """Metrics of held-out runs, ``(n_runs, n_metrics)``."""
        return np.stack([metric.predicted for metric in self.metrics], axis=1)


def cross_validate(
    table: SwarmTable, *, seed: int, on_progress: OnProgress = silent
) -> CrossValidated:
    """Fit every metric of a table, and predict its runs from the others.

    Args:
        table: The runs.
        seed: Deals mixtures to folds.
        on_progress: Told how many metrics are done.
    """
    mixture = table.mixture_of_run
    n_mixtures = int(mixture.max()) + 1
    n_folds = min(_N_FOLDS, n_mixtures)
    fold = (np.random.default_rng(seed).permutation(n_mixtures) % n_folds)[mixture]
    found = []
    for m in range(len(table.metrics)):
        kinds = [_hold_out(table, m, fold, each=each, seed=seed) for each in (False, True)]
        errors = [float(((kind.predicted - table.values[:, m]) ** 2).mean()) for kind in kinds]
        found.append(kinds[int(np.argmin(errors))])
        on_progress(Progress("fitting", m + 1, len(table.metrics), "metrics"))
    return CrossValidated(tuple(found), _surface(table, found))


def _hold_out(
    table: SwarmTable, m: int, fold: npt.NDArray[np.intp], *, each: bool, seed: int
) -> HeldOut:
    values = table.values[:, m]
    predicted, deviation = np.empty_like(values), np.empty_like(values)
    for k in range(int(fold.max()) + 1):
        out = fold == k
        model = fit_hellinger(table.shares[~out], values[~out], length_per_domain=each, seed=seed)
        predicted[out] = model.predict(table.shares[out])
        deviation[out] = model.deviation(table.shares[out])
    whole = fit_hellinger(table.shares, values, length_per_domain=each, seed=seed)
    return HeldOut(each, predicted, deviation, whole)


def _surface(table: SwarmTable, metrics: list[HeldOut]) -> SwarmSurface:
    units = Units.of(table)
    predicted = np.stack([metric.predicted for metric in metrics], axis=1)
    deviation = np.stack([metric.deviation for metric in metrics], axis=1)
    missed = table.values - predicted
    standard = missed / np.where(deviation > 0, deviation, 1.0)
    correlation = (1 - _INDEPENDENT) * _correlation(standard) + _INDEPENDENT * np.eye(len(metrics))
    expected = units.deviation(deviation, correlation)
    off = units.objective(table.values) - units.objective(predicted)
    z = off / np.where(expected > 0, expected, 1.0)
    widened = max(float(np.quantile(np.abs(z), _HELD)) / float(ndtri((1 + _HELD) / 2)), 1.0)
    return SwarmSurface(tuple(metric.model for metric in metrics), units, correlation, widened)


def _correlation(rows: Array) -> Array:
    """Of columns; none where one does not vary."""
    centred = rows - rows.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    size = np.where(size > 0, size, np.inf)
    found = centred.T @ centred / np.outer(size, size)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)
