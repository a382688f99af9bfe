from __future__ import annotations

import pytest
import torch

from mixwise.errors import RecipeError
from mixwise.merging.rules import MergeRule, find_rule


def test_linear_takes_shares_for_merge_weights() -> None:
    rule = find_rule("linear")
    assert rule.coefficients is not None
    assert rule.coefficients(torch.tensor([0.2, 0.8])).tolist() == pytest.approx([0.2, 0.8])


def test_unknown_rule_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="`liner` is not a merge rule: did you mean `linear`"):
        find_rule("liner")


def test_a_rule_is_of_one_kind() -> None:
    with pytest.raises(RecipeError, match=r"`odd` must have .*, but has neither"):
        MergeRule("odd", "made up")
    with pytest.raises(RecipeError, match=r"`odd` must have .*, but has both"):
        MergeRule("odd", "made up", lambda shares: shares, lambda deltas, shares: deltas[0])
