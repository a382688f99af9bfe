"""What it costs to merge batch norm's running statistics instead of measuring them anew.

    pip install pillow==13.0.0
    python -m benchmarks.batch_norm [--scratch .bench/labelled]

Experts of the four ways to draw *digits* are averaged for every subset of two or more. Statistics
of the average are those of the base, the experts' averaged, or measured anew on training batches of
the subset. Each is compared with networks that were trained on the subset, which have their own.

Notation:
    B: batches that statistics are measured on.  error: of the merge's loss against the trained
    network's, in nats, mean over subsets and test sets.  ρ: Spearman correlation over subsets of
    the losses of merge and trained network, mean over test sets.
"""

from __future__ import annotations

import argparse
import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from benchmarks.truth.labelled import write_labelled
from benchmarks.truth.labelled_models import BATCH, Rows, load_rows, log_likelihoods, mixed, train
from scipy.stats import spearmanr
from torch import Tensor, nn

from mixwise.arrays import Array
from mixwise.mixture import Mixture
from mixwise.models.batch_norm import estimate_statistics

_BASE_STEPS, _STEPS, _RATE = 120, 120, 1e-3
_SEEDS = (1, 2)
_BATCHES = (1, 4, 32)


class NormalisedNetwork(nn.Module):
    """Three convolutions, each with batch norm, and a linear head.

    Args:
        n_labels: Labels that there are.
    """

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        widths = (3, 24, 48, 64)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(widths[-1], n_labels)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, ``(n, n_labels)``."""
        return self.head(self.body(inputs))


Network = nn.Module
Statistics = Callable[[Network, Mixture], None]


def trained(base: Network, rows: Mapping[str, Rows], mixture: Mixture, seed: int) -> Network:
    """The base after a run on a mixture."""
    network = copy.deepcopy(base).train()
    torch.manual_seed(seed)
    list(train(network, mixed(rows, mixture, _STEPS * BATCH, seed), _RATE))
    return network.eval()


def averaged(experts: Sequence[Network]) -> Network:
    """The network whose tensors are the experts' means, running statistics included."""
    states = [expert.state_dict() for expert in experts]
    network = copy.deepcopy(experts[0])
    network.load_state_dict(
        {name: torch.stack([s[name] for s in states]).double().mean(0) for name in states[0]}
    )
    return network.eval()


def measured_anew(rows: Mapping[str, Rows], n_batches: int) -> Statistics:
    """Statistics of a network on training batches of a mixture."""

    def measure(network: Network, mixture: Mixture) -> None:
        chosen = mixed(rows, mixture, n_batches * BATCH, seed=0).inputs
        estimate_statistics(network, [{"inputs": part} for part in chosen.split(BATCH)])

    return measure


def of_base(base: Network) -> Statistics:
    """The base's statistics."""
    own = {n: t for n, t in base.state_dict().items() if "running" in n}

    def put(network: Network, mixture: Mixture) -> None:
        network.load_state_dict({**network.state_dict(), **own})

    return put


def judge(network: Network, tests: Mapping[str, Rows]) -> Array:
    """Loss and accuracy on each test set, shape ``(n_sets, 2)``."""
    found = []
    for rows in tests.values():
        likelihoods = log_likelihoods(network, rows)
        right = likelihoods.gather(1, rows.labels[:, None])[:, 0]
        accuracy = (likelihoods.argmax(1) == rows.labels).double().mean()
        found.append((-float(right.double().mean()), float(accuracy)))
    return np.array(found)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scratch", type=Path, default=Path(".bench/labelled"))
    torch.set_num_threads(1)
    folder = write_labelled("digits", parser.parse_args().scratch)
    base_rows, rows, tests = (load_rows(folder, "images", p) for p in ("base", "train", "test"))
    names = tuple(rows)
    torch.manual_seed(0)
    base: Network = NormalisedNetwork(10)
    uniform = Mixture.uniform(tuple(base_rows))
    list(train(base.train(), mixed(base_rows, uniform, _BASE_STEPS * BATCH, 0), _RATE))
    base.eval()
    experts = {n: trained(base, rows, Mixture.single(names, n), seed=0) for n in names}
    subsets = [s for k in range(2, 5) for s in itertools.combinations(names, k)]
    ways: dict[str, Statistics] = {
        "of the base": of_base(base),
        "averaged": lambda network, mixture: None,
        **{f"measured anew, B = {n}": measured_anew(rows, n) for n in _BATCHES},
    }
    truth, merges = [], {way: [] for way in ways}
    for subset in subsets:
        mixture = Mixture(names, tuple((name in subset) / len(subset) for name in names))
        runs = [judge(trained(base, rows, mixture, seed), tests) for seed in _SEEDS]
        truth.append(np.mean(runs, axis=0))
        for way, measure in ways.items():
            network = averaged([experts[name] for name in subset])
            measure(network, mixture)
            merges[way].append(judge(network, tests))
    _print(np.array(truth), {way: np.array(found) for way, found in merges.items()})


def _print(truth: Array, merges: Mapping[str, Array]) -> None:
    print(f"{'statistics':24} {'loss':>6} {'error':>6} {'accuracy':>8} {'rho':>5}")
    loss, accuracy = truth[..., 0].mean(), truth[..., 1].mean()
    print(f"{'trained on the subset':24} {loss:6.3f} {'':6} {accuracy:8.3f}")
    for way, found in merges.items():
        error = np.abs(found[..., 0] - truth[..., 0]).mean()
        rho = np.mean(
            [
                spearmanr(a, b).statistic
                for a, b in zip(found[..., 0].T, truth[..., 0].T, strict=True)
            ]
        )
        loss, accuracy = found[..., 0].mean(), found[..., 1].mean()
        print(f"{way:24} {loss:6.3f} {error:6.3f} {accuracy:8.3f} {rho:5.2f}")


if __name__ == "__main__":
    main()
