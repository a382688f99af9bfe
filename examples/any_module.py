"""A network of your own: which mixture of four kinds of handwritten digits to train on.

    python examples/any_module.py [FOLDER]

The network, its training and its scores are plain PyTorch; mixwise is given three functions, and a
fourth that estimates the running statistics of batch norm anew in merged networks. Half of
scikit-learn's digits are drawn clean, turned, inverted or noisy: these are the domains. The target
is the other half, of which most are turned or inverted. Under a minute on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from mixwise import Metric, Problem, ProblemStudy

KINDS = ("clean", "turned", "inverted", "noisy")
TARGET = {"turned": 0.5, "inverted": 0.3, "noisy": 0.2}
RATE, BATCH, CALIBRATION_BATCHES = 3e-3, 32, 8


def draw(images: Tensor, kind: str, seed: int) -> Tensor:
    """Images of 8 × 8 pixels in [0, 1] as a domain shows them; the seed is of its noise."""
    if kind == "turned":
        return images.rot90(1, dims=(-2, -1))
    if kind == "inverted":
        return 1 - images
    if kind == "noisy":
        noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
        return images + 0.4 * noise
    return images


@cache
def digits() -> tuple[Tensor, Tensor]:
    """All images, ``(n, 1, 8, 8)``, and their labels, in an order of their own."""
    bunch = load_digits()
    order = torch.randperm(len(bunch.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(bunch.images, dtype=torch.float32)[order, None] / 16
    return images, torch.tensor(bunch.target)[order]


@cache
def training_data() -> tuple[Tensor, Tensor]:
    """The training half as each domain shows it, ``(4, n, 1, 8, 8)``, and its labels ``(n,)``."""
    images, labels = digits()
    half = len(labels) // 2
    return torch.stack([draw(images[:half], kind, seed=1) for kind in KINDS]), labels[:half]


@cache
def target_data() -> tuple[Tensor, Tensor]:
    """The other half: each image as one of the target's kinds shows it."""
    images, labels = digits()
    half = len(labels) // 2
    rest, shown = images[half:], images[half:].clone()
    start = 0
    for kind, share in TARGET.items():
        end = start + round(share * len(rest))
        shown[start:end] = draw(rest[start:end], kind, seed=2)
        start = end
    return shown, labels[half:]


def build() -> nn.Module:
    """The base: a small convolutional network with batch norm, trained on a few clean digits."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 16, 10),
    )
    return fit(network, {"clean": 1.0}, 640, seed=0)


def fit(network: nn.Module, mixture: Mapping[str, float], horizon: int, seed: int) -> nn.Module:
    """Train on about ``horizon`` examples, each drawn from a domain by the mixture's shares."""
    generator = torch.Generator().manual_seed(seed)
    shown, digit = training_data()
    shares = torch.tensor([mixture.get(kind, 0.0) for kind in KINDS])
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    network.train()
    for start in range(0, horizon, BATCH):
        n = min(BATCH, horizon - start)
        kinds = torch.multinomial(shares, n, replacement=True, generator=generator)
        places = torch.randint(len(digit), (n,), generator=generator)
        images, labels = shown[kinds, places], digit[places]
        loss = functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def evaluate(network: nn.Module) -> dict[str, Tensor]:
    """Cross-entropy of the right digit in nats, and whether it was named, for each target image."""
    images, labels = target_data()
    logits = network(images)
    return {
        "target/loss": functional.cross_entropy(logits, labels, reduction="none"),
        "target/accuracy": (logits.argmax(dim=1) == labels).float(),
    }


def recalibrate(network: nn.Module) -> None:
    """Estimate batch norm's running statistics anew, on some batches of all domains alike."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
    network.train()
    generator = torch.Generator().manual_seed(0)
    images = training_data()[0].flatten(0, 1)
    with torch.no_grad():
        for _ in range(CALIBRATION_BATCHES):
            network(images[torch.randperm(len(images), generator=generator)[:128]])


def make_problem() -> Problem:
    """The network and its domains, as mixwise is told of them."""
    n_examples = len(training_data()[1])
    return Problem(
        "digits",
        domains=dict.fromkeys(KINDS, n_examples),
        metrics=(
            Metric("target", "loss", "min", "nats"),
            Metric("target", "accuracy", "max", "share", is_differentiable=False),
        ),
        build=build,
        train=fit,
        evaluate=evaluate,
        recalibrate=recalibrate,
        log_likelihoods=("target/loss",),
    )


def main(folder: str, horizon: int = 16000, **settings: object) -> ProblemStudy:
    """Search the mixture with the lowest loss on the target, and train on it."""
    asked = {
        "horizon_examples": horizon,
        "budget": 0.5,
        "objective": {"metrics": [{"set": "target", "measure": "loss"}]},
        "search": {"max_repetition": 100},
        "final": {"baselines": ["uniform"]},
        **settings,
    }
    with ProblemStudy.create(folder, make_problem(), asked) as study:
        print(study.run().answer)
        print(study.candidates().head())
    return study


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits")
