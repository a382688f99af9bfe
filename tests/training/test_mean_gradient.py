from __future__ import annotations

import pytest
import torch

from mixwise.training.mean_gradient import MeanGradient


def step(optimizer: MeanGradient, parameter: torch.nn.Parameter, gradient: list[float]) -> None:
    parameter.grad = torch.tensor(gradient)
    optimizer.step()


def test_means_worked_by_hand_and_nothing_moves() -> None:
    moved, unreached = (torch.nn.Parameter(torch.tensor([1.0, 2.0])) for _ in range(2))
    optimizer = MeanGradient([moved, unreached], lr=0.5)
    step(optimizer, moved, [1.0, -2.0])
    moved.grad = None
    optimizer.step()
    step(optimizer, moved, [3.0, 2.0])
    first, second = optimizer.means({"moved": moved, "unreached": unreached}, 4)
    assert list(first) == list(second) == ["moved"]
    assert first["moved"].tolist() == [1.0, 0.0]
    assert second["moved"].tolist() == [2.5, 2.0]
    assert moved.tolist() == unreached.tolist() == [1.0, 2.0]


def test_a_snapshot_holds_the_sums() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    first, second = MeanGradient([parameter]), MeanGradient([parameter])
    step(first, parameter, [2.0])
    second.load_state_dict(first.state_dict())
    step(second, parameter, [4.0])
    mean, square = second.means({"p": parameter}, 2)
    assert (mean["p"].item(), square["p"].item()) == (3.0, 10.0)


def test_sums_are_of_float32_whatever_the_parameters_are() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    optimizer = MeanGradient([parameter])
    for _ in range(600):
        parameter.grad = torch.ones(1, dtype=torch.bfloat16)
        optimizer.step()
    assert optimizer.means({"p": parameter}, 600)[0]["p"].item() == pytest.approx(1.0)
