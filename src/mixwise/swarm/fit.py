"""From runs that exist to a recommendation, how far to trust it, and what to train next.

Method:
    Surrogates of all metrics (`cross_validation`) give the objective over the whole space. The
    mixture with the largest expected objective is recommended, or the uniform one where that is
    within a standard deviation of it, as in every study (`mixwise.decision.equals`); what leaving a
    prior costs is taken off wherever mixtures are compared, and shown apart. What to train
    next is the mixture whose run is expected to save most regret (`next_reference`), among those
    near the top, the table's own and random ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array
from mixwise.decision.answer import answer_words
from mixwise.decision.fidelity import measure_fidelity
from mixwise.decision.left_prior import PriorFacts
from mixwise.decision.next_reference import choose_next
from mixwise.decision.rounding import Rounding, nearest_good
from mixwise.errors import DataError, RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.prior import Prior
from mixwise.progress import OnProgress, silent
from mixwise.search.space.designs import centre
from mixwise.search.space.optimum import maximise
from mixwise.search.space.simplex import project, sample
from mixwise.swarm.asked import parse_space
from mixwise.swarm.cross_validation import CrossValidated, cross_validate
from mixwise.swarm.findings import MetricFit, NextRun, RunOfTable, SwarmFit
from mixwise.swarm.surface import SwarmSurface
from mixwise.swarm.table import SwarmTable

LEAST_MIXTURES = 8
_TOLD_APART = 1.96  # standard deviations of a difference
_TAKEN_AS_EQUAL = 1.0  # the same, for the uniform mixture to be preferred
_N_DRAWS = 400
_N_RANDOM = 200
_NEAR = (0.02, 0.05, 0.1, 0.2)  # of the way from the top to a random mixture
_N_NEAR = 60  # at each of these
_MOST_RUNS = 200  # of the table that are compared, the best
_DECIMALS = 3
_ROUNDING = 1e-6  # of a share
_GRID = np.linspace(0, 1, 21)


def fit_swarm(
    table: SwarmTable,
    space: MixtureSpace | None = None,
    *,
    prior: Prior | None = None,
    prefer: Literal["uniform", "none"] = "uniform",
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> SwarmFit:
    """Recommend a mixture by the runs of a table.

    Args:
        table: The runs.
        space: Where the recommendation must lie; None for all mixtures of the table's domains in
            which those whose share all runs have alike keep it.
        prior: A mixture that leaving costs, wherever mixtures are compared; None for none.
        prefer: What is taken among equals.
        seed: Decides folds, starting points and draws.
        on_progress: Told how many metrics are fitted.

    Raises:
        DataError: If the table has too few mixtures, or all runs have the same scores.
        RecipeError: If the space or the prior is of other domains.
    """
    mixture = table.mixture_of_run
    n_mixtures = int(mixture.max()) + 1
    if n_mixtures < LEAST_MIXTURES:
        raise DataError(
            f"the runs have {n_mixtures} different mixtures, but a fit needs {LEAST_MIXTURES}: "
            "train more"
        )
    if not table.spreads.any():
        raise DataError("all runs have the same scores: nothing can be learned from them")
    space = space or parse_space(table.domains, fixed=table.fixed)
    if space.domains != table.domains:
        raise RecipeError(
            f"the bounds are of {', '.join(space.domains)}, but the runs of "
            f"{', '.join(table.domains)}: name the same domains in the same order"
        )
    if prior is not None and prior.mixture.domains != table.domains:
        raise RecipeError(
            f"the prior is of {', '.join(prior.mixture.domains)}, but the runs of "
            f"{', '.join(table.domains)}: name the same domains in the same order"
        )
    validated = cross_validate(table, seed=seed, on_progress=on_progress)
    surface = validated.surface

    def pulled(shares: Array) -> Array:
        """Expected objectives, less what leaving the prior costs."""
        return surface.value(shares) - (0.0 if prior is None else prior.penalty(shares))

    highest, rounding = maximise(pulled, space, seed=seed), None
    if space.grid is not None:
        peak, highest = highest, nearest_good(pulled, space, highest)
        values = pulled(np.array([peak.shares, highest.shares]))
        rounding = Rounding(space.grid, peak, float(values[0] - values[1]))
    pool = _Pool.of(table, space, surface, highest, prior=prior, seed=seed)
    uniform, top = pool.uniform, pool.top
    ahead = max(float(pool.means[top] - pool.means[uniform]), 0.0)
    apart = pool.deviation_from(top)[uniform]
    is_equal = prefer == "uniform" and ahead <= _TAKEN_AS_EQUAL * apart
    chosen = centre(space) if is_equal else highest
    place = uniform if is_equal else top
    behind = pool.means[place] - pool.means
    is_near = behind <= _TOLD_APART * pool.deviation_from(place)
    inside = is_near & pool.is_inside
    expected = float(surface.value(chosen.array[None])[0])
    reach = _TOLD_APART * float(surface.run_deviation(chosen.array[None])[0])
    runs = pool.runs
    objective = surface.units.objective(table.values)
    return SwarmFit(
        answer=answer_words(chosen, preferred=prefer, is_anchor=is_equal, outcome=None),
        mixture=chosen,
        expected=expected,
        interval=(expected - reach, expected + reach),
        highest=highest,
        ahead=ahead,
        ahead_deviation=float(apart),
        n_runs=len(table.shares),
        n_mixtures=n_mixtures,
        sums=table.sums,
        n_alone=table.n_alone,
        best_run=max(runs, key=lambda run: run.objective),
        equals=tuple(
            run
            for run, near in zip(runs, is_near[-len(runs) :].tolist(), strict=True)
            if near and run.is_within
        ),
        ranges={
            name: (float(column.min()), float(column.max()))
            for name, column in zip(table.domains, pool.points[inside].T, strict=True)
        },
        beyond={
            name: most
            for name, share, most in zip(
                table.domains, chosen.shares, table.shares.max(axis=0).tolist(), strict=True
            )
            if round(share - most, _DECIMALS) > 0
        },
        metrics=_metrics(table, validated, chosen, objective, seed=seed),
        fidelity=measure_fidelity(
            _by_mixture(surface.units.objective(validated.predicted), mixture),
            table.runs_of(objective),
            sign=1,
            seed=seed,
        ),
        error=_relative_error(surface.units.objective(validated.predicted), objective),
        widened=surface.widened,
        next_run=pool.next_run(space, surface.noise),
        fixed={
            name: share
            for i, (name, share) in enumerate(zip(table.domains, space.lower, strict=True))
            if name in table.fixed and share == space.upper[i]
        },
        line_shares=tuple(_GRID.tolist()),
        lines=_lines(surface, chosen, space),
        rounding=None if is_equal else rounding,
        prior=None if prior is None else PriorFacts.of(prior, chosen),
    )


def _lines(
    surface: SwarmSurface, chosen: Mixture, space: MixtureSpace
) -> dict[str, tuple[float, ...]]:
    """Expected J where one share goes from 0 to 1 and the others keep their proportions."""
    found = {}
    for i, name in enumerate(chosen.domains):
        if space.lower[i] == space.upper[i]:
            continue
        others = chosen.array.copy()
        others[i] = 0
        if others.sum() == 0:
            others[:] = 1
            others[i] = 0
        line = np.outer(1 - _GRID, others / others.sum())
        line[:, i] = _GRID
        found[name] = tuple(surface.value(line).tolist())
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """Mixtures that are compared: the top, the uniform one, random ones, and the best runs.

    Args:
        points: Shares, ``(n, n_domains)``; runs of the table stand last.
        means: Expected J, ``(n,)``, less what leaving the prior costs.
        draws: Of the same, ``(n_draws, n)``.
        is_inside: Whether each lies in the space.
        runs: The table's own.
    """

    points: Array
    means: Array
    draws: Array
    is_inside: npt.NDArray[np.bool_]
    runs: tuple[RunOfTable, ...]
    top = 0
    uniform = 1

    @classmethod
    def of(
        cls,
        table: SwarmTable,
        space: MixtureSpace,
        surface: SwarmSurface,
        highest: Mixture,
        *,
        prior: Prior | None,
        seed: int,
    ) -> _Pool:
        runs = _runs(table, surface, space)
        rng = np.random.default_rng(seed)
        anywhere = sample(space, _N_RANDOM, seed=seed)
        others = anywhere[rng.integers(len(anywhere), size=(len(_NEAR), _N_NEAR))]
        near = highest.array + np.array(_NEAR)[:, None, None] * (others - highest.array)
        points = np.concatenate(
            [
                highest.array[None],
                centre(space).array[None],
                anywhere,
                project(near.reshape(-1, len(space.domains)), space),
                np.array([run.mixture.shares for run in runs]),
            ]
        )
        is_inside = np.array([True] * (len(points) - len(runs)))
        own = np.array([space.contains(run.mixture) for run in runs])
        taken = np.zeros(len(points)) if prior is None else prior.penalty(points)
        return cls(
            points,
            surface.value(points) - taken,
            surface.draws(points, _N_DRAWS, seed=seed) - taken,
            np.concatenate([is_inside, own]),
            runs,
        )

    def deviation_from(self, place: int) -> Array:
        """Standard deviation of the difference between each mixture and one of them, ``(n,)``."""
        return np.asarray((self.draws - self.draws[:, place, None]).std(axis=0))

    def next_run(self, space: MixtureSpace, noise: float) -> NextRun:
        """What to train next."""
        inside = np.flatnonzero(self.is_inside)
        worth = choose_next(self.means[inside], np.cov(self.draws[:, inside].T), noise)
        point = self.points[inside[worth.index]]
        if space.grid is not None:
            return NextRun(space.trainable(point), worth.gain)
        return NextRun(space.rounded(point, _DECIMALS), worth.gain)


def _runs(table: SwarmTable, surface: SwarmSurface, space: MixtureSpace) -> tuple[RunOfTable, ...]:
    """The mixtures of the table with the largest expected or found objectives."""
    mixture = table.mixture_of_run
    firsts = np.unique(mixture, return_index=True)[1]
    found = _by_mixture(surface.units.objective(table.values), mixture)
    expected = surface.value(table.shares[firsts])
    order = np.argsort(-np.maximum(found, expected), kind="stable")[:_MOST_RUNS]
    shares = table.shares[firsts[order]]
    apart = np.abs(project(shares, space) - shares).max(axis=1)
    is_within = apart <= table.sums[1] - table.sums[0] + _ROUNDING  # sums round fixed shares too
    return tuple(
        RunOfTable(
            table.places[firsts[k]],
            Mixture(table.domains, tuple(table.shares[firsts[k]].tolist())),
            float(found[k]),
            float(expected[k]),
            within,
        )
        for k, within in zip(order.tolist(), is_within.tolist(), strict=True)
    )


def _metrics(
    table: SwarmTable, validated: CrossValidated, chosen: Mixture, objective: Array, *, seed: int
) -> dict[str, MetricFit]:
    mixture, best = table.mixture_of_run, int(objective.argmax())
    found = {}
    for m, (name, direction) in enumerate(table.metrics.items()):
        held, values = validated.metrics[m], table.values[:, m]
        expected = float(held.model.predict(chosen.array[None])[0])
        reach = _TOLD_APART * validated.surface.widened
        reach *= float(held.model.deviation(chosen.array[None])[0])
        found[name] = MetricFit(
            direction=direction,
            length_per_domain=held.length_per_domain,
            expected=expected,
            interval=(expected - reach, expected + reach),
            best_run=float(values[best]),
            fidelity=measure_fidelity(
                _by_mixture(held.predicted, mixture),
                table.runs_of(values),
                sign=int(table.signs[m]),
                seed=seed,
            ),
            error=_relative_error(held.predicted, values),
        )
    return found


def _by_mixture(column: Array, mixture: npt.NDArray[np.intp]) -> Array:
    """The mean of a number a run over the runs of each mixture."""
    return np.asarray(np.bincount(mixture, column) / np.bincount(mixture))


def _relative_error(predicted: Array, values: Array) -> float:
    """Root mean square error over the spread; 0 where nothing varies."""
    spread = float(values.std()) if values.max() > values.min() else 0.0
    return float(np.sqrt(((predicted - values) ** 2).mean())) / spread if spread > 0 else 0.0
