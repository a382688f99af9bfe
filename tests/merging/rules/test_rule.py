from __future__ import annotations

import pytest
import torch

from mixwise.merging.rules.rule import LINEAR


def test_linear_takes_shares_for_merge_weights() -> None:
    assert LINEAR.coefficients(torch.tensor([0.2, 0.8])).tolist() == pytest.approx([0.2, 0.8])
