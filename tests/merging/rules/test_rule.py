from __future__ import annotations

import pytest
import torch

from mixwise.errors import RecipeError
from mixwise.merging.rules.rule import LINEAR, MergeRule


def test_linear_takes_shares_for_merge_weights() -> None:
    assert LINEAR.coefficients is not None
    assert LINEAR.coefficients(torch.tensor([0.2, 0.8])).tolist() == pytest.approx([0.2, 0.8])


def test_a_rule_is_of_one_kind() -> None:
    with pytest.raises(RecipeError, match=r"`odd` must have .*, but has neither"):
        MergeRule("odd", "made up")
    with pytest.raises(RecipeError, match=r"`odd` must have .*, but has both"):
        MergeRule("odd", "made up", lambda shares: shares, lambda name, deltas, shares: deltas[0])
