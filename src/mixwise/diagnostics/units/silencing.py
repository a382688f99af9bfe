"""Frivolous units: what of a network can be silenced, and what repeats the rest.

Notation:
    p: share of units silenced, 0, 1/6, …, 1.  A(p): share of predictions equal to the intact
    network's.

Method:
    *Prunable*: a random ⌊pn⌋ of the n units of every layer at once are set to 0, nothing rescaled;
    each draw silences the same units and more as p grows. Prunability is the p at which A crosses
    0.8, between two levels by a straight line; 1 if it never does. *Redundant*: the mean over
    layers of `mixwise.diagnostics.units.redundancy`.

Source:
    Casper, Boix, D'Amario, Guo, Schrimpf, Vinken, Kreiman 2021 (arXiv 1912.04783); what the text
    leaves open as in their code (xboix/frivolous_dnns): the first crossing counts.

Departures:
    The authors plot the largest of three draws of prunability; we give their mean, least and
    largest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mixwise.diagnostics.units.layers import UnitLayer, changed_units
from mixwise.diagnostics.units.redundancy import Covariance
from mixwise.errors import EvaluationError
from mixwise.progress import OnProgress, Progress, silent

Batch = TypeVar("Batch")
N_DRAWS = 3
_N_LEVELS = 6
_AGREEMENT = 0.8


@dataclass(frozen=True, slots=True)
class LayerUnits:
    """One layer's units.

    Args:
        name: Name of the module that reads them or hands them on.
        n_units: How many there are.
        redundant: Share of its components that together hold 5 % of its variance.
    """

    name: str
    n_units: int
    redundant: float


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over draws: mean, least and largest."""

    mean: float
    least: float
    largest: float


@dataclass(frozen=True, slots=True)
class FrivolousUnits:
    """The units of a network.

    Args:
        layers: Its layers.
        agreement: A(p) of each draw, at p = 0, 1/6, …, 1.
        n_predictions: Predictions that A is a share of.
        seed: Of the draws.
    """

    layers: tuple[LayerUnits, ...]
    agreement: tuple[tuple[float, ...], ...]
    n_predictions: int
    seed: int

    @property
    def prunable_draws(self) -> tuple[float, ...]:
        """Prunability by each draw."""
        return tuple(prunability(curve) for curve in self.agreement)

    @property
    def prunable(self) -> Spread:
        """Prunability over draws; the largest is what the authors plot."""
        draws = self.prunable_draws
        return Spread(float(np.mean(draws)), min(draws), max(draws))

    @property
    def redundant(self) -> float:
        """Redundancy, the mean over layers."""
        return float(np.mean([layer.redundant for layer in self.layers]))

    @property
    def n_units(self) -> int:
        """Units of all layers."""
        return sum(layer.n_units for layer in self.layers)


def prunability(agreement: Sequence[float]) -> float:
    """The share of silenced units at which agreement first crosses 80 %.

    Args:
        agreement: Share of predictions that stay equal, at evenly spaced shares from 0 to 1.

    Example:
        >>> prunability((1.0, 0.9, 0.6, 0.2, 0.1, 0.1, 0.1))  # a third of the way from 1/6 to 2/6
        0.2222222222222222
    """
    n_steps = len(agreement) - 1
    for step in range(n_steps):
        above, below = agreement[step], agreement[step + 1]
        if above >= _AGREEMENT > below:
            return (step + (above - _AGREEMENT) / (above - below)) / n_steps
    return 1.0


def next_tokens(module: nn.Module, ids: Tensor) -> Tensor:
    """What a causal language model predicts at each position of ``(B, L)`` tokens."""
    return module(input_ids=ids, use_cache=False).logits.argmax(dim=-1)


def classes(module: nn.Module, images: Tensor) -> Tensor:
    """What a classifier predicts for each image; its answer may be logits or hold ``logits``."""
    answer = module(images)
    return getattr(answer, "logits", answer).argmax(dim=-1)


@torch.no_grad()
def measure_units(
    module: nn.Module,
    batches: Sequence[Batch],
    layers: Sequence[UnitLayer],
    *,
    predict: Callable[[nn.Module, Batch], Tensor],
    n_draws: int = N_DRAWS,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> FrivolousUnits:
    """Measure prunable and redundant units.

    Costs a forward pass over all batches for the intact network, one for the network without units,
    and five per draw.

    Args:
        module: The network, in evaluation mode.
        batches: Test inputs, on its device, as `predict` takes them.
        layers: Its layers, as `find_mlp_layers` or `find_classifier_layers` find them.
        predict: Gives the network's predictions for a batch, as whole numbers.
        n_draws: Random orders in which units are silenced; at least 1.
        seed: Of the draws.
        on_progress: Told how many passes are done.

    Raises:
        EvaluationError: If the module is in training mode, if a layer takes no part, or if a layer
            has no fewer units than the inputs show it active.
    """
    if module.training:
        raise EvaluationError(
            f"{type(module).__name__}: predictions must not be random, but the network is in "
            "training mode: call `.eval()` first"
        )
    n_passes = 2 + n_draws * (_N_LEVELS - 1)
    passes = _Passes(module, batches, layers, predict, n_passes, on_progress)
    covariances = [Covariance() for _ in layers]
    intact = passes.predict(lambda k, units: covariances[k].add(units))
    measured = tuple(
        LayerUnits(layer.name, covariance.n_units, covariance.redundancy(layer.name))
        for layer, covariance in zip(layers, covariances, strict=True)
    )
    without = float((passes.predict(lambda _, units: torch.zeros_like(units)) == intact).mean())
    curves = []
    for draw in range(n_draws):
        orders = _draw_orders(measured, seed, draw)
        between = [passes.agreement(intact, orders, level) for level in range(1, _N_LEVELS)]
        curves.append((1.0, *between, without))
    return FrivolousUnits(measured, tuple(curves), len(intact), seed)


def _draw_orders(layers: Sequence[LayerUnits], seed: int, draw: int) -> list[Tensor]:
    """A random order of the units of each layer."""
    rng = np.random.default_rng([seed, draw])
    return [torch.from_numpy(rng.permutation(layer.n_units)) for layer in layers]


@dataclass(slots=True)
class _Passes(Generic[Batch]):
    """Forward passes over all batches, with units changed on the way."""

    module: nn.Module
    batches: Sequence[Batch]
    layers: Sequence[UnitLayer]
    predictor: Callable[[nn.Module, Batch], Tensor]
    n_total: int
    on_progress: OnProgress
    n_done: int = field(default=0, init=False)

    def predict(self, change: Callable[[int, Tensor], Tensor]) -> npt.NDArray[np.int64]:
        """Predictions of all batches, one after the other."""
        with changed_units(self.layers, change):
            parts = [self.predictor(self.module, batch).flatten().cpu() for batch in self.batches]
        self.n_done += 1
        self.on_progress(Progress("silencing units", self.n_done, self.n_total))
        return torch.cat(parts).numpy()

    def agreement(
        self, intact: npt.NDArray[np.int64], orders: Sequence[Tensor], level: int
    ) -> float:
        """Share of predictions that stay as they were without the first units of each order."""
        off = [order[: level * len(order) // _N_LEVELS] for order in orders]

        def silence(index: int, units: Tensor) -> Tensor:
            return units.index_fill(-1, off[index].to(units.device), 0)

        return float((self.predict(silence) == intact).mean())
