from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixwise.errors import DataError, RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Direction
from mixwise.prior import Prior
from mixwise.swarm import SwarmTable, fit_swarm
from mixwise.swarm.cross_validation import cross_validate

BEST = np.array([0.6, 0.3, 0.1])
DOMAINS = ("math", "code", "web")


def make(
    n: int, *, noise: float = 0.01, seed: int = 0, metrics: int = 2, shuffled: bool = False
) -> SwarmTable:
    """Runs whose losses are least at a known mixture, for which each metric has its own weight."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(3), n)
    distance = ((np.sqrt(shares) - np.sqrt(BEST)) ** 2).sum(axis=1)
    both = noise * rng.standard_normal(n)[:, None]  # a run is better or worse in everything
    values = 2 + np.outer(distance, 1 + np.arange(metrics)) + both
    if shuffled:
        values = rng.permutation(values)
    names: dict[str, Direction] = {f"m{k}/loss": "min" for k in range(metrics)}
    return SwarmTable(DOMAINS, names, shares, values, tuple(f"runs.csv:{k + 2}" for k in range(n)))


def test_the_known_optimum_is_found_and_held_out_runs_are_predicted() -> None:
    found = fit_swarm(make(40))
    assert np.abs(found.mixture.array - BEST).sum() / 2 < 0.06
    assert found.fidelity.spearman.value is not None
    assert found.fidelity.spearman.value > 0.9
    assert found.error < 0.35
    assert found.interval[0] < found.expected < found.interval[1]
    assert found.answer.startswith("Train on 5") or found.answer.startswith("Train on 6")
    assert set(found.metrics) == {"m0/loss", "m1/loss"}
    assert found.ranges["math"][0] < found.mixture.array[0] < found.ranges["math"][1]


def test_shuffled_scores_say_nothing_and_uniform_is_taken() -> None:
    found = fit_swarm(make(40, shuffled=True))
    assert found.fidelity.spearman.value is not None
    assert found.fidelity.spearman.value < 0.5
    assert found.error > 0.9
    assert found.answer.startswith("Cannot be told from uniform")


def test_intervals_hold_what_runs_give() -> None:
    found = fit_swarm(make(40, noise=0.05, seed=3))
    fresh = make(400, noise=0.05, seed=4)
    validated = cross_validate(make(40, noise=0.05, seed=3), seed=0)
    surface = validated.surface
    off = surface.units.objective(fresh.values) - surface.value(fresh.shares)
    held = np.abs(off) < 1.96 * surface.run_deviation(fresh.shares)
    assert held.mean() > 0.85
    reach = 1.96 * surface.run_deviation(found.mixture.array[None])[0]
    assert found.interval[1] - found.expected == pytest.approx(reach)


def test_metrics_that_fail_together_are_not_averaged_away() -> None:
    surface = cross_validate(make(40, noise=0.1, seed=5), seed=0).surface
    assert surface.correlation[0, 1] > 0.5
    apart = replace(surface, correlation=np.eye(2))
    assert apart.noise < surface.noise


def test_draws_have_the_posterior_s_mean_and_no_noise_of_runs() -> None:
    surface = cross_validate(make(30), seed=0).surface
    points = make(6, seed=9).shares
    draws = surface.draws(points, 4000, seed=0)
    assert draws.mean(axis=0) == pytest.approx(surface.value(points), abs=0.02)
    assert (draws.std(axis=0) < surface.run_deviation(points)).all()


def test_bounds_are_held_and_a_share_that_no_run_has_had_is_told() -> None:
    table = make(40)
    few = replace(
        table,
        shares=table.shares[table.shares[:, 0] < 0.5],
        values=table.values[table.shares[:, 0] < 0.5],
        places=tuple(np.array(table.places)[table.shares[:, 0] < 0.5].tolist()),
    )
    found = fit_swarm(few, MixtureSpace(DOMAINS, (0.55, 0.0, 0.0), (1.0, 1.0, 0.2)))
    assert found.mixture.array[0] >= 0.55
    assert found.next_run.mixture.array[2] <= 0.2 + 1e-6
    assert "math" in found.beyond


def test_runs_outside_the_limits_are_no_equals() -> None:
    table = make(40)
    found = fit_swarm(table, MixtureSpace(DOMAINS, (0.0, 0.0, 0.0), (0.3, 1.0, 1.0)))
    assert found.best_run.mixture.array[0] > 0.3
    assert not found.best_run.is_within
    assert all(run.mixture.array[0] <= 0.3 + 1e-6 for run in found.equals)
    assert fit_swarm(table).best_run.is_within


def test_sums_that_were_rounded_put_no_run_outside_a_fixed_share() -> None:
    free = make(30)
    sums = 1 + 0.004 * np.linspace(-1, 1, 30)
    shares = np.concatenate([0.8 * free.shares, np.full((30, 1), 0.2)], axis=1)
    shares[:, 3] /= sums
    shares[:, :3] *= ((1 - shares[:, 3]) / 0.8)[:, None]
    table = replace(free, domains=(*DOMAINS, "replay"), shares=shares, sums=(0.996, 1.004))
    found = fit_swarm(table)
    assert "replay" in found.fixed
    assert found.best_run.is_within


def test_several_runs_of_a_mixture_stay_together_and_tell_their_noise() -> None:
    table = make(15, noise=0.0)
    twice = replace(
        table,
        shares=np.repeat(table.shares, 2, axis=0),
        values=np.repeat(table.values, 2, axis=0)
        + 0.05 * np.random.default_rng(0).standard_normal((30, 1)),
        places=tuple(f"runs.csv:{k}" for k in range(30)),
    )
    found = fit_swarm(twice)
    assert (found.n_runs, found.n_mixtures) == (30, 15)
    assert found.fidelity.ceiling is not None


def test_too_few_mixtures_and_equal_scores_are_refused() -> None:
    with pytest.raises(DataError, match="have 5 different mixtures, but a fit needs 8"):
        fit_swarm(make(5))
    table = make(10)
    with pytest.raises(DataError, match="all runs have the same scores"):
        fit_swarm(replace(table, values=np.ones_like(table.values)))


def test_the_same_runs_give_the_same_answer() -> None:
    first, second = fit_swarm(make(20, metrics=1)), fit_swarm(make(20, metrics=1))
    assert first == second


def test_bounds_of_domains_in_another_order_are_refused() -> None:
    space = MixtureSpace.whole(DOMAINS[::-1])
    with pytest.raises(RecipeError, match="the bounds are of web, code, math, but the runs of"):
        fit_swarm(make(10), space)


def test_a_metric_that_all_runs_share_tells_nothing_whatever_its_rounding() -> None:
    table = make(20, metrics=1)
    constant = np.full((20, 1), 0.1)
    assert constant.std() > 0  # by rounding alone
    both = replace(
        table,
        metrics={**table.metrics, "acc": "max"},
        values=np.concatenate([table.values, constant], axis=1),
    )
    found, alone = fit_swarm(both, prefer="none"), fit_swarm(table, prefer="none")
    assert found.mixture.distance(alone.mixture) < 0.02
    assert found.expected == pytest.approx(alone.expected / 2, abs=0.01)
    assert found.interval[1] - found.interval[0] < alone.interval[1] - alone.interval[0]
    with pytest.raises(DataError, match="all runs have the same scores"):
        fit_swarm(replace(table, values=constant))


def test_a_share_that_all_runs_have_is_kept_unless_bounds_say_otherwise() -> None:
    free = make(30)
    shares = np.concatenate([0.8 * free.shares, np.full((30, 1), 0.2)], axis=1)
    table = replace(free, domains=(*DOMAINS, "replay"), shares=shares)
    found = fit_swarm(table)
    assert found.fixed == {"replay": pytest.approx(0.2)}
    assert set(found.lines) == set(DOMAINS)
    assert found.mixture.as_dict()["replay"] == pytest.approx(0.2, abs=1e-6)
    assert found.next_run.mixture.as_dict()["replay"] == pytest.approx(0.2, abs=2e-3)
    freed = fit_swarm(table, MixtureSpace.whole(table.domains))
    assert freed.fixed == {}
    assert fit_swarm(free).fixed == {}


def test_lines_pass_through_the_recommendation() -> None:
    found = fit_swarm(make(30))
    line = found.lines["math"]
    assert len(line) == len(found.line_shares) == 21
    top = found.line_shares[int(np.argmax(line))]
    assert abs(top - found.mixture.as_dict()["math"]) <= 0.1


def test_a_prior_pulls_as_much_as_it_weighs() -> None:
    table, near = make(30), Mixture(DOMAINS, (0.1, 0.3, 0.6))
    free = fit_swarm(table, prefer="none")
    light = fit_swarm(table, prior=Prior(near, 0.3), prefer="none")
    heavy = fit_swarm(table, prior=Prior(near, 1000.0), prefer="none")
    assert free.prior is None
    assert light.prior is not None
    assert heavy.mixture.distance(near) < 0.01
    assert heavy.mixture.distance(near) < light.mixture.distance(near)
    assert light.mixture.distance(near) < free.mixture.distance(near) - 0.02
    assert light.expected < free.expected
    surface = cross_validate(table, seed=0).surface
    assert light.expected == pytest.approx(float(surface.value(light.mixture.array[None])[0]))
    grid = np.random.default_rng(0).dirichlet(np.ones(3), 4000)
    best = (surface.value(grid) - Prior(near, 0.3).penalty(grid)).max()
    assert light.expected - light.prior.taken > best - 1e-3
    assert light.prior.taken == pytest.approx(0.3 * light.prior.divergence)


def test_a_prior_of_other_domains_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"the prior is of a, b, but the runs of math, code, web"):
        fit_swarm(make(30), prior=Prior(Mixture.uniform(("a", "b")), 0.1))
