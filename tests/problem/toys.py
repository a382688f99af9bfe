"""Tiny networks of three domains: points of the plane, whose class each domain draws otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mixwise import Metric, Problem

DOMAINS = {"left": 60, "right": 60, "both": 60}
CENTRES = {"left": (-1.0, 0.5), "right": (1.0, -0.5), "both": (0.0, 0.0)}
LOSS = Metric("target", "loss", "min", "nats")
ACCURACY = Metric("target", "accuracy", "max", "share", is_differentiable=False)
RATE = 0.05


def points(kind: str, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points around a centre and their classes, which a bent line parts."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(n, 2, generator=generator) + torch.tensor(CENTRES[kind])
    return found, (found[:, 0] * found[:, 1] + 0.3 * found[:, 0] > 0).long()


def build() -> nn.Module:
    """Two layers."""
    generator = torch.Generator().manual_seed(3)
    network = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return network


def train(network: nn.Module, mixture: Mapping[str, float], horizon: int, seed: int) -> None:
    """Some steps of SGD, each on the domains in proportion."""
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=RATE)
    data = {kind: points(kind, 60, seed) for kind, share in mixture.items() if share}
    for _ in range(horizon // 10):
        losses = [
            mixture[kind] * functional.cross_entropy(network(x), y) for kind, (x, y) in data.items()
        ]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()


def evaluate(network: nn.Module) -> dict[str, Tensor]:
    """Cross-entropy and right answers on points of all kinds."""
    parts = [points(kind, 8, 99) for kind in CENTRES]
    x, y = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    logits = network(x)
    return {
        "target/loss": functional.cross_entropy(logits, y, reduction="none"),
        "target/accuracy": logits.argmax(dim=1) == y,
    }


def toy(**changes: Any) -> Problem:
    """The problem, with some of its parts replaced."""
    return replace(Problem("toy", DOMAINS, (LOSS, ACCURACY), build, train, evaluate), **changes)


ASKED: dict[str, Any] = {
    "horizon_examples": 400,
    "budget": 0.5,
    "objective": {"metrics": [{"set": "target", "measure": "loss"}]},
    "search": {"max_repetition": 100},
    "final": {"train": False},
}


def with_norm() -> nn.Module:
    """The same with batch norm."""
    first, *rest = build()
    return nn.Sequential(first, nn.BatchNorm1d(6), *rest)


def recalibrate(network: nn.Module) -> None:
    """Batch norm's statistics over points of all kinds alike."""
    norm = network[1]
    assert isinstance(norm, nn.BatchNorm1d)
    norm.reset_running_stats()
    norm.momentum = None
    network.train()
    with torch.no_grad():
        network(torch.cat([points(kind, 40, 5)[0] for kind in CENTRES]))
