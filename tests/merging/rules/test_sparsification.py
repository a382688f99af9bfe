from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixwise.merging.rules.sparsification import (
    drawn,
    drawn_by_rank,
    generator_for,
    largest,
    middle,
    rescaled,
)

sizes = st.integers(1, 300)
densities = st.floats(0.01, 1)


def shuffled(n: int) -> torch.Tensor:
    """Elements of magnitudes 1 to n, of both signs, in any order."""
    magnitudes = 1.0 + torch.randperm(n, generator=torch.Generator().manual_seed(n))
    return magnitudes * (1 - 2 * (magnitudes % 2))


def test_largest_and_middle_of_ten() -> None:
    vector = torch.tensor([[1.0, -10, 3, -4, 5], [6, -7, 8, 9, -2]])
    assert vector[largest(vector, 0.3)].tolist() == [-10, 8, 9]
    assert vector[middle(vector, 0.3, 0.2)].tolist() == [6, -7, 8]


@given(sizes, densities, st.floats(0, 0.99))
def test_middle_is_a_run_of_the_sorted_magnitudes(n: int, density: float, outliers: float) -> None:
    n_kept = max(1, int(density * n))
    n_outliers = min(int(outliers * n), n - n_kept)
    vector = shuffled(n)
    kept = sorted(vector[middle(vector, density, outliers)].abs().tolist())
    assert kept == sorted(vector.abs().tolist())[n - n_outliers - n_kept : n - n_outliers]


@given(sizes, densities)
def test_without_outliers_the_middle_is_the_largest(n: int, density: float) -> None:
    vector = shuffled(n)
    assert torch.equal(middle(vector, density, 0.0), largest(vector, density))


def test_ties_do_not_change_how_many_are_kept() -> None:
    assert int(largest(torch.ones(7, 3), 0.5).sum()) == 10
    assert int(middle(torch.ones(100), 0.9, 0.01).sum()) == 90


def test_a_draw_keeps_a_part_of_every_element_alike() -> None:
    vector, generator = shuffled(50), generator_for("w")
    rates = torch.stack([drawn(vector, 0.7, generator) for _ in range(2000)]).double().mean(0)
    assert rates.mean().item() == pytest.approx(0.7, abs=0.005)
    assert rates.numpy() == pytest.approx(0.7, abs=0.05)  # five standard errors


def test_rank_within_the_row_decides_the_chance() -> None:
    vector = torch.tensor([[1.0, -2, 3], [-300, 100, 200]])
    generator = generator_for("w")
    draws = [drawn_by_rank(vector, 0.5, 0.3, generator) for _ in range(2000)]
    rates = torch.stack(draws).double().mean(0)
    assert rates.numpy() == pytest.approx(
        torch.tensor([[0.2, 0.5, 0.8], [0.8, 0.2, 0.5]]).numpy(), abs=0.06
    )


@pytest.mark.parametrize("shape", [(), (5,), (5, 1), (2, 3, 4)])
def test_masks_have_the_shape_of_the_vector(shape: tuple[int, ...]) -> None:
    vector, generator = torch.ones(shape), generator_for("w")
    for mask in (
        largest(vector, 0.9),
        middle(vector, 0.9, 0.01),
        drawn(vector, 0.9, generator),
        drawn_by_rank(vector, 0.9, 0.01, generator),
    ):
        assert mask.shape == shape
        assert mask.dtype == torch.bool


def test_rescaling_restores_the_sum_of_magnitudes() -> None:
    kept = rescaled(torch.tensor([1.0, -2, 3]), torch.tensor([True, True, False]))
    assert kept.tolist() == [2.0, -4.0, 0.0]


@pytest.mark.parametrize(
    "vector", [torch.zeros(3), torch.tensor([0.0, 0, 5]), torch.full((3,), 1e-9)]
)
def test_nothing_is_rescaled_by_nothing(vector: torch.Tensor) -> None:
    mask = torch.tensor([True, True, False])
    assert torch.equal(rescaled(vector, mask), vector * mask)


def test_a_name_has_its_own_draws_and_always_the_same() -> None:
    def draw(name: str) -> list[float]:
        return torch.rand(5, generator=generator_for(name)).tolist()

    assert draw("a") == draw("a")
    assert draw("a") != draw("b")
