from __future__ import annotations

import pytest
import torch
from torch import nn

from mixwise.models.batch_norm import (
    estimate_statistics,
    has_running_statistics,
    running_norms,
    statistics_names,
)


class Stack(nn.Module):
    """Two normalised layers and dropout, which must stay as in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.BatchNorm1d(3), nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4, momentum=0.3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def batches(n: int) -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    return [{"x": 5 + 2 * torch.randn(8, 3)} for _ in range(n)]


def test_statistics_are_the_means_over_batches_of_what_each_layer_is_given() -> None:
    module, given = Stack().eval(), batches(5)
    first, linear, _, second = module.layers
    first.running_mean += 100  # whatever stood there before
    estimate_statistics(module, given)
    inputs = [batch["x"] for batch in given]
    between = [
        linear((x - x.mean(0)) / (x.var(0, correction=0) + first.eps).sqrt()).detach()
        for x in inputs
    ]
    for norm, seen in ((first, inputs), (second, between)):
        mean = torch.stack([x.mean(0) for x in seen]).mean(0)
        variance = torch.stack([x.var(0) for x in seen]).mean(0)
        assert norm.running_mean == pytest.approx(mean, abs=1e-5)
        assert norm.running_var == pytest.approx(variance, abs=1e-5)


def test_the_module_is_left_as_in_evaluation() -> None:
    module = Stack().eval()
    estimate_statistics(module, batches(2))
    assert not any(layer.training for layer in module.modules())
    assert [norm.momentum for norm in running_norms(module).values()] == [0.1, 0.3]
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        estimate_statistics(module, [{"x": torch.randn(1, 3)}])
    assert not any(layer.training for layer in module.modules())
    assert module.layers[0].momentum == 0.1


def test_statistics_are_told_by_name_and_layer() -> None:
    module = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False))
    assert has_running_statistics(module.state_dict())
    assert not has_running_statistics(module[1].state_dict())
    assert statistics_names(module) == {
        "0.running_mean",
        "0.running_var",
        "0.num_batches_tracked",
    }
