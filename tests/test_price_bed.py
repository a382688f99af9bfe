"""Regret against price: what a price buys on the beds of short experts; how picks are judged."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.horizon_law import fit_horizon_law
from benchmarks.price import Attempt, of_method, share_of
from benchmarks.price_beds import BEDS, Bed, Offer, draw
from benchmarks.price_rivals import MIXWISE, RIVALS, Rival
from benchmarks.purse import OverspentError
from benchmarks.truth.horizon_table import load, table
from benchmarks.truth.horizons import SETTINGS, SHORT_SEED
from benchmarks.truth.steps import tail

MADE = [name for name in SETTINGS if table(name).is_file()]


@pytest.fixture(scope="module")
def bed() -> Bed:
    return Bed("code")


@pytest.mark.parametrize("name", MADE)
def test_a_table_holds_every_row_once_and_numbers_alone(name: str) -> None:
    rows = load(name)
    assert rows[0].answer == "base"
    assert len({row.key for row in rows}) == len(rows)
    assert all(np.isfinite(list(row.losses.values())).all() for row in rows)
    short = {row.steps for row in rows if row.seed == SHORT_SEED}
    assert short <= set(SETTINGS[name].short_points)


def test_a_price_buys_experts_as_long_as_it_pays_for_all_of_them(bed: Bed) -> None:
    offer = Offer(bed, draw(bed, 0), "targets", 0.25)
    assert offer.kept("predictions") == 6  # of 128 · 0.25 / 5
    with pytest.raises(OverspentError, match="within their warm-up"):
        Offer(bed, draw(bed, 0), "targets", 0.1).kept("predictions")


def test_a_price_buys_runs_as_many_as_wanted_and_as_long_as_that_allows(bed: Bed) -> None:
    chosen, steps = Offer(bed, draw(bed, 0), "targets", 0.5).runs(8)
    assert (len(chosen), steps) == (8, 8)
    with pytest.raises(OverspentError, match="too few runs"):
        Offer(bed, draw(bed, 0), "targets", 0.05).runs(8)


def test_a_pick_is_judged_by_runs_that_were_not_bought(bed: Bed) -> None:
    drawn = draw(bed, 0)
    offer = Offer(bed, drawn, "targets", 5.0)
    pick = int(drawn.candidates[3])
    unseen = Offer(bed, drawn, "targets", 5.0)
    offer.train(np.array([pick]), bed.steps)
    values = [offer.judge(pick), unseen.judge(pick)]
    assert drawn.seed is not None
    other = -bed.truths[1 - drawn.seed][pick, offer.sets].mean()
    bought = -bed.truths[drawn.seed][pick, offer.sets].mean()
    assert values[0] - values[1] == pytest.approx((other - bought) / 2, abs=0.02)
    assert values[0] != values[1]


@pytest.mark.parametrize("rival", RIVALS, ids=[rival.name for rival in RIVALS])
def test_a_method_picks_a_candidate_or_says_that_it_cannot(bed: Bed, rival: Rival) -> None:
    drawn = draw(bed, 1)
    for price in (0.05, 1.0):
        offer = Offer(bed, drawn, "targets", price)
        try:
            pick = rival.pick(offer)
        except OverspentError:
            continue
        assert pick in offer.candidates


def test_a_law_in_mixture_and_horizon_is_found_again() -> None:
    rng = np.random.default_rng(0)
    shares = np.repeat(rng.dirichlet(np.ones(3), 20), 4, axis=0)
    steps = np.tile([8.0, 16.0, 32.0, 64.0], 20)

    def loss(points: np.ndarray, at: np.ndarray) -> np.ndarray:
        kept = 1 / (2 * points[:, 0] ** 0.5 + points[:, 1] ** 0.5 + 0.5 * points[:, 2] ** 0.5)
        return np.asarray(2.0 + kept + points @ np.array([1.0, 2.0, 3.0]) / at**0.5)

    law = fit_horizon_law(shares, steps, loss(shares, steps))
    fresh = rng.dirichlet(np.ones(3), 10)
    assert law(fresh, 128.0) == pytest.approx(loss(fresh, np.full(10, 128.0)), abs=0.05)


def test_a_share_is_of_sums_and_counts_where_all_answer() -> None:
    def attempt(method: str, bed: str, draw: int, regret: float) -> Attempt:
        return Attempt(method, 1.0, bed, draw, "all", regret, 2.0, 0.0)

    rows = [attempt(MIXWISE, bed, k, 0.5 + k) for bed in BEDS for k in (0, 1)]
    assert share_of(of_method(rows, MIXWISE, 1.0)).value == pytest.approx(0.5)
    other = [attempt("other", bed, k, 2.0) for bed in BEDS for k in (0, 1)]
    assert share_of(other, rows).value == pytest.approx(0.5)
    assert not of_method([*rows, *other[1:]], "other", 1.0)


def test_the_tail_of_a_run_is_its_last_third() -> None:
    assert tail(32) == (23, 32)
    assert tail(8) == (6, 8)
