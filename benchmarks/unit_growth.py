"""How frivolous units grow with width: small classifiers of digits, and language models.

Method:
    The paper's amount: share × width. Growth per doubling = 2^slope of log₂ amount over log₂ width,
    by least squares over all widths, one figure per seed (classifiers) or per draw (language
    models, of which there is one per width). Above 2 is faster than the network itself.

Source:
    Casper, Boix et al. 2021 (arXiv 1912.04783), on scikit-learn's digits (Alpaydin and Kaynak
    1998) in place of CIFAR-10.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from benchmarks.truth.beds import Bed
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from mixwise.diagnostics.units.layers import find_classifier_layers
from mixwise.diagnostics.units.silencing import classes, measure_units
from mixwise.stages.units import UnitSettings, measure_study_units
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
LANGUAGE = "language model"
_WIDTHS = (32, 64, 128, 256, 512)
_ALONE = {"workers": 1, "threads": 1}
_EPOCHS = 25
_BATCH = 64
_RATE = 3e-3
_LOSS_SEQUENCES = 32  # of each of ten texts
_SEQUENCES = 4  # for units: 5,120 places in all, more than the widest layer has units


@dataclass(frozen=True, slots=True)
class Sample:
    """One network.

    Args:
        family: What kind of network.
        width: Relative to 1×, or hidden size.
        seed: Training seed.
        quality: Accuracy on test images, or minus the held-out loss in nats per token.
        prunable: Prunability by each draw.
        redundant: Redundancy.
    """

    family: str
    width: float
    seed: int
    quality: float
    prunable: tuple[float, ...]
    redundant: float


def perceptron(factor: float) -> nn.Sequential:
    """Two hidden layers of 64 units at 1×."""
    n = int(64 * factor)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU(), nn.Linear(n, 10)
    )


def convolutional(factor: float) -> nn.Sequential:
    """Two convolutions of 16 channels and a linear of 32 units at 1×."""
    n = int(16 * factor)
    return nn.Sequential(
        nn.Conv2d(1, n, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(n, n, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * n, 2 * n),
        nn.ReLU(),
        nn.Linear(2 * n, 10),
    )


FAMILIES: dict[str, Callable[[float], nn.Sequential]] = {
    "digits, perceptron": perceptron,
    "digits, convolutional": convolutional,
}


def classifier_samples(family: str, seeds: Sequence[int]) -> Iterator[Sample]:
    """Train and measure classifiers of every width with every seed."""
    digits = load_digits()
    images = torch.from_numpy(digits.images / 16).float()[:, None]
    labels = torch.from_numpy(digits.target)
    for seed in seeds:
        train, test = train_test_split(np.arange(len(labels)), test_size=1 / 3, random_state=seed)
        for factor in FACTORS:
            torch.manual_seed(seed)
            module = FAMILIES[family](factor)
            _train(module, images[train], labels[train])
            layers = find_classifier_layers(module, lambda net: net(images[:1]))
            batches = torch.split(images[test], 256)
            units = measure_units(module, batches, layers, predict=classes, seed=seed)
            right = classes(module, images[test]) == labels[test]
            yield Sample(
                family,
                factor,
                seed,
                float(right.double().mean()),
                units.prunable_draws,
                units.redundant,
            )


def _train(module: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Adam with a cosine; leaves the module in evaluation mode."""
    n_steps = _EPOCHS * (len(images) // _BATCH)
    optimizer = torch.optim.Adam(module.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for _ in range(_EPOCHS):
        order = torch.randperm(len(images))
        for k in range(0, len(order) - _BATCH + 1, _BATCH):
            chosen = order[k : k + _BATCH]
            loss = nn.functional.cross_entropy(module(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    module.eval()


def language_samples(bases: Path, scratch: Path) -> Iterator[Sample]:
    """Measure the demo's base model at every width that there is, on texts that it never saw.

    Args:
        bases: Folder of ``width-32`` to ``width-512``, which `tools/demo/pretrain_base.py` makes.
        scratch: Keeps the tokenised texts.
    """
    for width in _WIDTHS:
        if not (bases / f"width-{width}" / "model.safetensors").is_file():
            continue
        bed = Bed(f"units-{width}", width=width, max_sequences=_LOSS_SEQUENCES)
        content = yaml.safe_load(bed.recipe(bases.resolve()))
        folder = scratch / bed.name
        folder.mkdir(parents=True, exist_ok=True)
        recipe = folder / "recipe.yaml"
        recipe.write_text(yaml.safe_dump(content | {"engine": _ALONE}, sort_keys=False))
        study = StudyFolder.create(folder / "study", recipe)
        study.save_recipe(recipe.read_text())
        workspace = Workspace(study, Settings(folder, scratch / "tokens"))
        try:
            losses = [v for k, v in workspace.base_observation.values.items() if "/loss" in k]
            settings = UnitSettings(n_sequences=_SEQUENCES)
            [(_, units)] = measure_study_units(workspace, ["base"], settings).models
        finally:
            workspace.close()
        quality = -float(np.mean(losses))
        yield Sample(LANGUAGE, width, 0, quality, units.prunable_draws, units.redundant)


@dataclass(frozen=True, slots=True)
class Growth:
    """Factor by which an amount of units grows when the width doubles, one figure per repetition.

    Args:
        family: What kind of network.
        kind: ``prunable``, ``redundant``, or what is left of each.
        factors: Over seeds, or over draws where there is one seed.
    """

    family: str
    kind: str
    factors: tuple[float, ...]


def measure_growth(samples: Sequence[Sample]) -> tuple[Growth, ...]:
    """How prunable, redundant and other units grow over the widths of one family."""
    shares: Mapping[str, Callable[[Sample], list[float]]] = {
        "prunable": lambda s: list(s.prunable),
        "redundant": lambda s: [s.redundant],
        "not prunable": lambda s: [1 - p for p in s.prunable],
        "not redundant": lambda s: [1 - s.redundant],
    }
    by_seed = defaultdict(list)
    for sample in samples:
        by_seed[sample.seed].append(sample)
    found = []
    for kind, share in shares.items():
        lines = [np.array([share(s) for s in chosen]) for chosen in by_seed.values()]
        if len(lines) > 1:  # a network's draws count as one repetition where there are several
            lines = [line.mean(axis=1, keepdims=True) for line in lines]
        widths = [np.array([s.width for s in chosen]) for chosen in by_seed.values()]
        factors = [
            growth(w, w * column)
            for w, line in zip(widths, lines, strict=True)
            for column in line.T
        ]
        found.append(Growth(samples[0].family, kind, tuple(factors)))
    return tuple(found)


def growth(widths: np.ndarray, amounts: np.ndarray) -> float:
    """Factor per doubling, 2^slope of a straight line through log₂ amounts.

    Example:
        >>> growth(np.array([1.0, 2.0, 4.0]), np.array([5.0, 15.0, 45.0]))
        3.0
    """
    slope = np.polyfit(np.log2(widths), np.log2(amounts), 1)[0]
    return round(float(2**slope), 12)
