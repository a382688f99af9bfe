"""What a merge rule is made from, besides the shares: which runs exist, and what of them is known.

Notation:
    n: domains.  A run is known by the mixture μ that it was trained on and by the fraction φ of
    the horizon after which its checkpoint was taken. Experts are runs on one domain with φ = 1.

Method:
    The vectors of a pool stand in this order: the experts' task vectors, those of the extra runs,
    and, where a rule asks for them, the experts' second moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwise.errors import CheckpointError, first_line
from mixwise.files import hash_file
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE, Checkpoint
from mixwise.models.live_model import LiveModel

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class ExtraRun:
    """A trained checkpoint that goes into merges besides the experts.

    Args:
        mixture: What it was trained on.
        checkpoint: The opened checkpoint.
        fraction: Part of the horizon that it had trained for, in (0, 1].
    """

    mixture: Mixture
    checkpoint: Checkpoint
    fraction: float = 1.0


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What the vectors of a pool are.

    Args:
        n_domains: Experts, one per domain.
        mixtures: Shares of each extra run, shape ``(n_extras, n_domains)``.
        fractions: φ of each extra run, shape ``(n_extras,)``.
        has_second_moments: Whether the experts' second moments follow.
    """

    n_domains: int
    mixtures: tuple[tuple[float, ...], ...] = ()
    fractions: tuple[float, ...] = ()
    has_second_moments: bool = False

    @classmethod
    def of(
        cls, domains: Sequence[str], extras: Sequence[ExtraRun], *, has_second_moments: bool
    ) -> Ingredients:
        """Describe the vectors of a pool; shares stand in the order of its domains."""
        return cls(
            len(domains),
            tuple(tuple(run.mixture.as_dict()[name] for name in domains) for run in extras),
            tuple(run.fraction for run in extras),
            has_second_moments,
        )

    def split(self, vectors: Sequence[Tensor]) -> VectorParts:
        """The vectors of one tensor, by what they are."""
        n, n_extras = self.n_domains, len(self.mixtures)
        return VectorParts(vectors[:n], vectors[n : n + n_extras], vectors[n + n_extras :])


@dataclass(frozen=True, slots=True, eq=False)
class VectorParts:
    """One tensor of all vectors of a pool.

    Args:
        deltas: Of the experts' task vectors, in the order of the domains.
        extra_deltas: Of the extra runs' task vectors.
        second_moments: Of the experts' second moments; empty where no rule asks for them.
    """

    deltas: Sequence[Tensor]
    extra_deltas: Sequence[Tensor]
    second_moments: Sequence[Tensor]


class SecondMoments:
    """An expert's mean squared gradients, served like a task vector.

    Args:
        live: The live model of the base.
        folder: The expert's folder.

    Raises:
        CheckpointError: If the folder has none, or they don't fit the base.
    """

    def __init__(self, live: LiveModel, folder: Path) -> None:
        from safetensors import SafetensorError, safe_open

        file = folder / SECOND_MOMENTS_FILE
        if not file.is_file():
            raise CheckpointError(
                f"{file} is missing, but the rule needs the optimiser's second moments: train "
                "the expert with mixwise and AdamW, or choose another `merge.rule`"
            )
        try:
            opened: Any = safe_open(file, framework="pt")  # untyped
        except SafetensorError as error:
            raise CheckpointError(f"{file} cannot be read ({first_line(error)})") from None
        self._live = live
        self._opened = opened
        self._names = _fit(live, {n: self._shape(n) for n in list(opened.keys())}, file)
        self._fingerprint = hash_file(file)

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._opened.get_slice(name).get_shape())

    @property
    def fingerprint(self) -> str:
        """Hash of the file."""
        return self._fingerprint

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def load(self, name: str) -> Tensor:
        """v̂ of one tensor: float32, in its shape, on its live device."""
        stored: Tensor = self._opened.get_tensor(self._names[name])
        return stored.float().to(self._live.tensors[name].device)

    def add_to(self, total: Tensor, name: str, share: float, *, start: int = 0) -> None:
        """See `TaskVector.add_to`."""
        part = self.load(name).view(-1)[start : start + total.numel()]
        total.view(-1).add_(part, alpha=share)

    def dot(self, name: str, gradient: Tensor, *, start: int = 0) -> float:
        """See `TaskVector.dot`."""
        part = self.load(name).view(-1)[start : start + gradient.numel()]
        return float((part.double() * gradient.view(-1).double()).sum())


def _fit(live: LiveModel, shapes: Mapping[str, tuple[int, ...]], file: Path) -> dict[str, str]:
    """Stored name by canonical name."""
    names: dict[str, str] = {}
    for name, shape in shapes.items():
        canonical = live.aliases.get(name)
        if canonical is None or tuple(live.tensors[canonical].shape) != shape:
            raise CheckpointError(
                f"{file}: `{name}` of shape {shape} fits no tensor of the base: use the second "
                "moments that were saved beside the expert"
            )
        names[canonical] = name
    return names
