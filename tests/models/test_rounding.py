from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixwise.models.rounding import round_stochastically, spacing

COARSE = (torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", COARSE)
def test_spacing_is_the_distance_to_the_next_number(dtype: torch.dtype) -> None:
    grid = torch.cat([s * 2.0 ** torch.arange(-30, 15) for s in (1.0, -1.3)]).to(dtype)
    grid = grid[grid != 0]
    bits = grid.view(torch.int16)
    away = (bits + 1).view(dtype)  # the next number away from zero has the next bit pattern
    assert torch.equal(spacing(grid.float(), dtype), (away.float() - grid.float()).abs())


@pytest.mark.parametrize("dtype", COARSE)
@given(size=st.sampled_from([1e-7, 1e-3, 1.0, 300.0]), seed=st.integers(0, 50))
def test_result_is_one_of_the_two_neighbours(dtype: torch.dtype, size: float, seed: int) -> None:
    values = size * torch.randn(300, generator=torch.Generator().manual_seed(seed))
    rounded = round_stochastically(values, dtype, "w", 0)
    assert torch.equal(rounded.to(dtype).float(), rounded)
    assert ((rounded - values).abs() < spacing(values, dtype)).all()


@pytest.mark.parametrize("dtype", COARSE)
def test_rounding_is_unbiased_where_nearest_is_not(dtype: torch.dtype) -> None:
    values = torch.full((40_000,), 1 + 0.1 * torch.finfo(dtype).eps)
    lost = 1 + 0.1 * torch.finfo(dtype).eps - values.to(dtype).float().mean()
    assert lost == pytest.approx(0.1 * torch.finfo(dtype).eps, rel=1e-3)
    rounded = round_stochastically(values, dtype, "w", 0)
    assert (rounded - values).mean().abs() < 0.01 * torch.finfo(dtype).eps  # 6 standard errors


def test_numbers_of_the_grid_stay() -> None:
    values = torch.randn(1000).bfloat16().float()
    assert torch.equal(round_stochastically(values, torch.bfloat16, "w", 0), values)


def test_candidates_meet_the_same_bits_and_tensors_do_not() -> None:
    values = torch.randn(1000)
    first = round_stochastically(values, torch.bfloat16, "w", 0)
    assert torch.equal(first, round_stochastically(values, torch.bfloat16, "w", 0))
    assert not torch.equal(first, round_stochastically(values, torch.bfloat16, "v", 0))
    assert not torch.equal(first, round_stochastically(values, torch.bfloat16, "w", 128))
    assert not torch.equal(first, round_stochastically(values, torch.bfloat16, "w", 0, seed=1))


def test_order_is_kept_between_candidates() -> None:
    values = torch.randn(1000)
    below = round_stochastically(values, torch.bfloat16, "w", 0)
    above = round_stochastically(values + 1e-4, torch.bfloat16, "w", 0)
    assert (above >= below).all()
    assert (above - below).mean() == pytest.approx(1e-4, rel=0.5)
