from __future__ import annotations

import pytest
import torch

from mixwise.errors import RecipeError
from mixwise.merging.rules.inputs import Ingredients
from mixwise.merging.rules.rule import shares_as_merge_weights
from mixwise.merging.rules.trajectory import along_trajectories, blended

A, B = (1.0, 0.0), (0.0, 1.0)
INGREDIENTS = Ingredients(2, (A, A, B, B, (0.5, 0.5)), (0.25, 0.5, 0.25, 0.5, 1.0))


def weights(shares: tuple[float, float]) -> list[float]:
    return along_trajectories(INGREDIENTS)(torch.tensor(shares, dtype=torch.float64)).tolist()


def test_at_a_checkpoint_it_is_that_checkpoint() -> None:
    assert weights((0.5, 0.5)) == pytest.approx([0, 0, 0, 1, 0, 1, 0])


def test_between_checkpoints_it_is_the_line_between_them() -> None:
    # a: 0.75 lies half way from 0.5 to the end; b: 0.25 is its first checkpoint
    assert weights((0.75, 0.25)) == pytest.approx([0.5, 0, 0, 0.5, 1, 0, 0])
    # b: 0.1 of the way from nothing to 0.25
    assert weights((0.9, 0.1))[4] == pytest.approx(0.4)


def test_corners_are_the_experts() -> None:
    assert weights(A) == pytest.approx([1, 0, 0, 0, 0, 0, 0])


def test_blend_lies_between() -> None:
    shares = torch.tensor([0.75, 0.25], dtype=torch.float64)
    other = along_trajectories(INGREDIENTS)
    half = blended(shares_as_merge_weights, other, 0.5)(shares).tolist()
    assert half == pytest.approx([0.625, 0.125, 0, 0.25, 0.5, 0, 0])


def test_an_expert_without_checkpoints_is_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"set `training.trajectory_checkpoints` .* in a new study"
    ):
        along_trajectories(Ingredients(2, (A,), (0.5,)))
