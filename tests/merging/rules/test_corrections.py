from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixwise.errors import RecipeError
from mixwise.merging.rules.corrections import (
    by_centre,
    by_pairs,
    by_pairs_and_centre,
    by_references,
    evenness,
    pair_products,
)
from mixwise.merging.rules.extra_runs import pair_mixtures
from mixwise.merging.rules.inputs import Ingredients
from mixwise.merging.rules.rule import Coefficients

THIRD = (1 / 3, 1 / 3, 1 / 3)
RUNS = (THIRD, *pair_mixtures(3))
INGREDIENTS = Ingredients(3, RUNS, (1.0,) * 4)
EXACT = {
    by_centre: (THIRD,),
    by_pairs: tuple(pair_mixtures(3)),
    by_pairs_and_centre: RUNS,
}
Make = Callable[[Ingredients], Coefficients]


def weights(make: Make, shares: tuple[float, ...]) -> list[float]:
    return make(INGREDIENTS)(torch.tensor(shares, dtype=torch.float64)).tolist()


def test_evenness_is_nil_at_corners_and_one_at_the_centre() -> None:
    assert float(evenness(torch.tensor([0.0, 1.0, 0.0]))) == 0
    assert float(evenness(torch.tensor(THIRD))) == pytest.approx(1)
    assert float(evenness(torch.tensor([0.5, 0.5, 0.0]))) == pytest.approx(0.75)


def test_pair_products_are_those_of_every_pair() -> None:
    assert pair_products(torch.tensor([0.2, 0.3, 0.5])).tolist() == pytest.approx([0.24, 0.4, 0.6])


def test_centre_by_hand() -> None:
    # h = (1 − 0.38) / (2/3) = 0.93; experts λ − 0.31; the centre 0.93; pairs nothing
    expected = [0.2 - 0.31, 0.3 - 0.31, 0.5 - 0.31, 0.93, 0, 0, 0]
    assert weights(by_centre, (0.2, 0.3, 0.5)) == pytest.approx(expected)


@pytest.mark.parametrize("make", [*EXACT, by_references])
@pytest.mark.parametrize("corner", range(3))
def test_corners_are_the_experts(make: Make, corner: int) -> None:
    one_hot = tuple(float(k == corner) for k in range(3))
    assert weights(make, one_hot) == pytest.approx([*one_hot, 0, 0, 0, 0])


@pytest.mark.parametrize("make", EXACT)
def test_exact_at_every_run_that_the_rule_uses(make: Make) -> None:
    for run in EXACT[make]:
        expected = [0.0] * 7
        expected[3 + RUNS.index(run)] = 1
        assert weights(make, run) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_all_merge_weights_add_up_to_one(parts: list[float]) -> None:
    shares = tuple(part / sum(parts) for part in parts)
    for make in (*EXACT, by_references):
        assert sum(weights(make, shares)) == pytest.approx(1)


def test_pairs_recover_a_quadratic_world() -> None:
    """Where what merging misses is Σ λᵢλⱼ eᵢⱼ, the pair rule misses nothing anywhere."""
    generator = torch.Generator().manual_seed(0)
    experts = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    missed = torch.randn(3, 5, generator=generator, dtype=torch.float64)

    def trained(shares: tuple[float, ...]) -> torch.Tensor:
        row = torch.tensor(shares, dtype=torch.float64)
        return row @ experts + pair_products(row) @ missed

    vectors = torch.stack([*experts, *(trained(run) for run in RUNS)])
    shares = (0.15, 0.25, 0.6)
    for make in (by_pairs, by_pairs_and_centre):
        merged = torch.tensor(weights(make, shares), dtype=torch.float64) @ vectors
        assert torch.allclose(merged, trained(shares))
    centre = torch.tensor(weights(by_centre, shares), dtype=torch.float64) @ vectors
    assert not torch.allclose(centre, trained(shares), atol=1e-3)


def test_references_come_closer_with_more_runs() -> None:
    """At a run's own mixture its correction is taken mostly, and wholly never: runs are noisy."""
    found = weights(by_references, THIRD)
    alone = by_references(Ingredients(3, (THIRD,), (1.0,)))(torch.tensor(THIRD).double())
    assert 0.5 < float(alone[3]) < 1
    assert 0 < found[3] < 1


def test_runs_that_are_missing_are_named() -> None:
    with pytest.raises(RecipeError, match=r"trained on the mixture \(0.333, 0.333, 0.333\)"):
        by_centre(Ingredients(3))
    with pytest.raises(RecipeError, match=r"trained on the mixture \(0.5, 0.5, 0.0\)"):
        by_pairs(Ingredients(3, (THIRD,), (1.0,)))
    with pytest.raises(RecipeError, match="at least one trained reference: set `calibration"):
        by_references(Ingredients(3))
