"""One model in memory, into which any checkpoint or merge is written in place.

No candidate is written to disk and none is loaded: scoring K candidates costs K passes over the
tensors. A tensor that stands under several names (tied embeddings) is written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mixwise.errors import CheckpointError, first_line
from mixwise.merging.checkpoint import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn


class LiveModel:
    """A causal language model whose tensors can be overwritten.

    Args:
        module: The module, in evaluation mode, on its device.
        base: The checkpoint that it was loaded from.

    Attributes:
        module: The same module, always with the tensors written last.
        tensors: Writable tensors by canonical name, tied ones once.
        aliases: Canonical name of every name, tied ones included.
    """

    def __init__(self, module: nn.Module, base: Checkpoint) -> None:
        self.module = module
        self.base = base
        self.tensors: dict[str, Tensor] = {}
        self.aliases: dict[str, str] = {}
        self._prefix = getattr(module, "base_model_prefix", "")  # some bases are stored without it
        canonical: dict[int, str] = {}
        for name, tensor in module.state_dict(keep_vars=True).items():
            first = canonical.setdefault(id(tensor), name)
            self.aliases[name] = first
            self.tensors.setdefault(first, tensor.detach())

    @classmethod
    def load(
        cls,
        base: Checkpoint,
        *,
        precision: str = "float32",
        device: str = "cpu",
        trust_remote_code: bool = False,
    ) -> LiveModel:
        """Load the base model.

        Args:
            base: Its opened checkpoint.
            precision: dtype of the live tensors: ``float32`` or ``bfloat16``.
            device: Torch device.
            trust_remote_code: Whether code from the base's folder may run.

        Raises:
            CheckpointError: If transformers cannot build the model from the folder.
        """
        module = load_module(base.folder, trust_remote_code=trust_remote_code)
        module.to(device=device, dtype=getattr(torch, precision))
        return cls(module.eval(), base)

    def match(self, checkpoint: Checkpoint, base: Checkpoint | None = None) -> Mapping[str, str]:
        """Find the stored name of every live tensor in a full checkpoint.

        Args:
            checkpoint: The checkpoint to be written or merged.
            base: When given, dtypes must be at least as precise as this checkpoint's.

        Returns:
            Stored name by canonical name.

        Raises:
            CheckpointError: Names the first tensor that is missing, unknown, of another shape or
                dtype, or stored twice with different values although the model ties it.
        """
        stored: dict[str, str] = {}
        base_stored = self.match(base) if base is not None else {}
        for name in sorted(checkpoint.tensors):
            canonical = self.aliases.get(name) or self.aliases.get(f"{self._prefix}.{name}")
            if canonical is None:
                raise CheckpointError(
                    f"{checkpoint.folder}: tensor `{name}` is not part of the base model "
                    f"{self.base.folder}: {self._remedy(checkpoint)}"
                )
            if canonical in stored:
                self._require_tied(checkpoint, stored[canonical], name)
            stored.setdefault(canonical, name)
        for canonical, tensor in self.tensors.items():
            if canonical not in stored:
                raise CheckpointError(
                    f"{checkpoint.folder}: tensor `{canonical}` is missing: "
                    f"{self._remedy(checkpoint)}"
                )
            shape = checkpoint.tensors[stored[canonical]].shape
            if shape != tuple(tensor.shape):
                raise CheckpointError(
                    f"{checkpoint.folder}: tensor `{canonical}` must have shape "
                    f"{tuple(tensor.shape)}, as in the base, but got {shape}: "
                    f"{self._remedy(checkpoint)}"
                )
            if base is not None:
                need = base.tensors[base_stored[canonical]].dtype
                have = checkpoint.tensors[stored[canonical]].dtype
                if have not in (need, "F32"):
                    raise CheckpointError(
                        f"{checkpoint.folder}: tensor `{canonical}` must be {need}, as in the "
                        f"base, or F32, but got {have}: save the expert in that precision"
                    )
        return stored

    def _remedy(self, checkpoint: Checkpoint) -> str:
        if checkpoint.folder == self.base.folder:
            return "use weights and a config.json that belong together"
        return "use an expert that was trained from this base"

    def _require_tied(self, checkpoint: Checkpoint, first: str, second: str) -> None:
        if not torch.equal(checkpoint.load_tensor(first), checkpoint.load_tensor(second)):
            raise CheckpointError(
                f"{checkpoint.folder}: tensors `{first}` and `{second}` are tied "
                "in the base but differ here: use an expert that ties them"
            )

    def write(self, name: str, values: Tensor) -> None:
        """Overwrite one tensor by its canonical name; the values are cast to the live dtype."""
        self.tensors[name].copy_(values)

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Overwrite all tensors with a full checkpoint's."""
        for canonical, name in self.match(checkpoint).items():
            self.write(canonical, checkpoint.load_tensor(name))


def load_module(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """Load a causal language model in float32, from safetensors only.

    Raises:
        CheckpointError: If transformers cannot build the model from the folder.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # its "Loading weights" bar, once per model
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
        )
    except Exception as error:  # whatever the architecture's own code raises
        reason = first_line(error)
        raise CheckpointError(
            f"{folder}: the model cannot be loaded ({reason}): give a folder "
            "that `AutoModelForCausalLM` can open"
        ) from None
