"""A model without its numbers: structure and names, filled a few tensors at a time.

Method:
    The architecture is built without memory for its parameters. The tensors of one layer of the
    decoder, or those outside all layers (embeddings, last norm, head), are put in for the time of
    a block, and taken out again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mixwise.errors import CheckpointError
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.live_model import LiveModel, Precision
from mixwise.models.loading import build_module

if TYPE_CHECKING:
    from torch import Tensor, nn

Tensors = Mapping[str, "Tensor"]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer of the decoder.

    Args:
        module: The layer, without numbers.
        names: Canonical name in the model, by name in the layer.
    """

    module: nn.Module
    names: Mapping[str, str]


class Skeleton:
    """The architecture of a base, without numbers.

    Args:
        base: The opened base.
        precision: dtype of the tensors that it is filled with.
        device: Torch device of these tensors.
        trust_remote_code: Whether code from the base's folder may run.

    Attributes:
        module: The model, in evaluation mode.
        live: Names, shapes and places of its tensors; they cannot be written to.
        layers: The decoder's layers, in order.
        outer: Canonical names of the tensors that are in no layer.

    Raises:
        CheckpointError: If the architecture cannot be built or has no list of layers.
    """

    def __init__(
        self,
        base: Checkpoint,
        *,
        precision: Precision = "float32",
        device: str = "cpu",
        trust_remote_code: bool = False,
    ) -> None:
        dtype = getattr(torch, precision)
        module = build_module(base.folder, dtype=dtype, trust_remote_code=trust_remote_code)
        self.module = module.eval()
        self.live = LiveModel(self.module, base)
        for name, tensor in self.live.tensors.items():  # a shape and a place, without memory
            self.live.tensors[name] = torch.empty((), dtype=tensor.dtype, device=device).expand(
                tensor.shape
            )
        self.layers = tuple(self._layers())
        inside = {name for layer in self.layers for name in layer.names.values()}
        self.outer = tuple(name for name in self.live.tensors if name not in inside)

    def _layers(self) -> Iterator[Layer]:
        prefix = _name_of_layers(self.module, self.live.base)
        for k, module in enumerate(self.module.get_submodule(prefix)):
            names = {
                local: self.live.aliases[f"{prefix}.{k}.{local}"] for local in module.state_dict()
            }
            yield Layer(module, names)

    def n_bytes(self, names: Sequence[str]) -> int:
        """Size of tensors once they are filled, in bytes."""
        return sum(self.live.tensors[name].nbytes for name in names)

    @contextlib.contextmanager
    def filled(self, tensors: Tensors) -> Iterator[None]:
        """Give the model some of its tensors, by canonical name, for the time of the block."""
        mine = {
            name: tensors[canonical]
            for name, canonical in self.live.aliases.items()
            if canonical in tensors
        }
        self.module.load_state_dict(mine, strict=False, assign=True)
        try:
            yield
        finally:
            empty = {name: tensor.to("meta") for name, tensor in mine.items()}
            self.module.load_state_dict(empty, strict=False, assign=True)


def _name_of_layers(module: Any, base: Checkpoint) -> str:
    """Name of the outermost list of as many different modules as the decoder has layers."""
    n_layers = module.config.get_text_config(decoder=True).num_hidden_layers
    for name, child in module.named_modules():
        if isinstance(child, torch.nn.ModuleList) and len({id(c) for c in child}) == n_layers:
            return str(name)
    raise CheckpointError(
        f"{base.folder}: a model that is read layer by layer must have a list of {n_layers} "
        "layers, but has none: evaluate it as a whole"
    )
