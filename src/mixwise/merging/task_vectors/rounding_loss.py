"""Rounding loss: the share of a task vector that its checkpoint's precision has lost.

Notation:
    δ̂: task vector of the expert as it was saved.  u: spacing of its dtype around an element.

Method:
    Rounding to nearest moves an element by an error that is uniform in ±u/2, of mean square u²/12;
    but where the base lies on the same grid, elements that moved by less than u/2 did not move at
    all, and have lost what they moved. So the mean square error of a group of elements (those of
    one tensor that have one u) is estimated as the smaller one of u²/12 and of how far elements
    move: the mean of δ̂² in the group, or in the whole model where that is larger. The share of
    rounding noise is Σ estimated squared errors ÷ Σ δ̂²; the test compares it with experts whose
    float32 values are known.

Source:
    Widrow, Kollár and Liu 1996, "Statistical theory of quantization" (IEEE TIM 45(2)), eq. 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mixwise.merging.task_vectors.task_vector import DirectTaskVector
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.chunks import chunks
from mixwise.models.live_model import LiveModel
from mixwise.models.rounding import spacing

if TYPE_CHECKING:
    from torch import Tensor

_EXPONENTS = 256  # of a float32


@dataclass(frozen=True, slots=True)
class RoundingLoss:
    """What was lost when an expert was saved.

    Args:
        noise_share: Share of its task vector's energy that is likely rounding noise, 0 to 1; 1 for
            an expert that did not move.
        unmoved_share: Share of its elements that are those of the base, 0 to 1.
    """

    noise_share: float
    unmoved_share: float


def measure_rounding_loss(live: LiveModel, expert: Checkpoint) -> RoundingLoss:
    """Estimate the rounding loss of a full expert's task vector.

    Args:
        live: The live model of the base.
        expert: A full checkpoint that fits it, in any precision.

    Raises:
        CheckpointError: If it doesn't fit.
    """
    names = live.match(expert)
    vector = DirectTaskVector(live, expert)
    groups = [
        _group_by_exponent(vector, name, expert.load_tensor(names[name]))
        for name in names
        if name in vector
    ]
    n_elements = sum(float(group.counts.sum()) for group in groups)
    energy = sum(float(group.energies.sum()) for group in groups)
    noise = sum(float(group.noise(energy / n_elements).sum()) for group in groups)
    return RoundingLoss(
        noise_share=min(1.0, noise / energy) if energy else 1.0,
        unmoved_share=sum(group.n_unmoved for group in groups) / n_elements,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Elements of one tensor by their exponent, on which u depends; all of shape ``(256,)``."""

    counts: Tensor
    energies: Tensor
    square_errors: Tensor
    n_unmoved: int

    def noise(self, mean_square_move: float) -> Tensor:
        """Estimated squared errors of each group."""
        moves = torch.nan_to_num(self.energies / self.counts).clamp(min=mean_square_move)
        return self.counts * torch.minimum(self.square_errors, moves)


def _group_by_exponent(vector: DirectTaskVector, name: str, values: Tensor) -> _Groups:
    energies = torch.zeros(_EXPONENTS, dtype=torch.float64)
    counts = torch.zeros(_EXPONENTS, dtype=torch.float64)
    n_unmoved = 0
    for start, part in chunks(values, values.device):
        delta = vector.part(name, start, part.numel())
        exponents = part.float().view(torch.int32).bitwise_right_shift(23).bitwise_and(0xFF)
        energies += exponents.bincount(delta.double().square(), _EXPONENTS)
        counts += exponents.bincount(minlength=_EXPONENTS)
        n_unmoved += int((delta == 0).sum())
    return _Groups(counts, energies, _mean_square_error(values.dtype), n_unmoved)


def _mean_square_error(dtype: torch.dtype) -> Tensor:
    """u²/12 by float32 exponent, shape ``(256,)``, float64."""
    saved = torch.float32 if dtype == torch.float64 else dtype  # δ̂ itself is float32
    exponents = torch.arange(_EXPONENTS, dtype=torch.int32).clamp_(max=254)  # 255 is no number
    powers_of_two = exponents.bitwise_left_shift(23)
    return spacing(powers_of_two.view(torch.float32), saved).double().square() / 12
