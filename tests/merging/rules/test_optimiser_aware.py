from __future__ import annotations

import pytest
import torch

from mixwise.merging.rules.inputs import Ingredients
from mixwise.merging.rules.optimiser_aware import (
    _EXPONENT,
    optimiser_aware,
    optimiser_aware_by_centre,
)

INGREDIENTS = Ingredients(2, has_second_moments=True)
SHARES = torch.tensor([0.25, 0.75])
DELTAS = [torch.tensor([1.0, 2.0, 4.0]), torch.tensor([3.0, -2.0, 8.0])]


def test_equal_moments_give_the_linear_merge() -> None:
    moments = [torch.tensor([1.0, 5.0, 0.0])] * 2  # where both are nil, the shares decide
    merged = optimiser_aware(INGREDIENTS)("w", [*DELTAS, *moments], SHARES)
    assert merged.tolist() == pytest.approx((SHARES @ torch.stack(DELTAS)).tolist())


def test_a_coordinate_of_one_domain_alone_by_hand() -> None:
    """Only a has a gradient: its share 0.25 counts as 0.25 · 4ᵖ."""
    moments = [torch.tensor([2.0]), torch.tensor([0.0])]
    deltas = [torch.tensor([1.0]), torch.tensor([0.0])]
    merged = optimiser_aware(INGREDIENTS)("w", [*deltas, *moments], SHARES)
    assert float(merged) == pytest.approx(0.25 * 4**_EXPONENT, rel=1e-5)


def test_corners_are_the_experts() -> None:
    moments = [torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.1, 3.0, 0.0])]
    corner = torch.tensor([0.0, 1.0])
    merged = optimiser_aware(INGREDIENTS)("w", [*DELTAS, *moments], corner)
    assert merged.tolist() == pytest.approx(DELTAS[1].tolist())


def test_exact_at_the_centre_with_its_run() -> None:
    moments = [torch.tensor([1.0, 0.5, 2.0]), torch.tensor([0.1, 3.0, 0.0])]
    centre = torch.tensor([9.0, -9.0, 7.0])
    combine = optimiser_aware_by_centre(Ingredients(2, ((0.5, 0.5),), (1.0,), True))
    vectors = [*DELTAS, centre, *moments]
    assert combine("w", vectors, torch.tensor([0.5, 0.5])).tolist() == pytest.approx([9, -9, 7])
    corner = combine("w", vectors, torch.tensor([1.0, 0.0]))
    assert corner.tolist() == pytest.approx(DELTAS[0].tolist(), abs=1e-6)
