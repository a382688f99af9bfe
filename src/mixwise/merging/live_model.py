"""One model in memory, into which any checkpoint or merge is written in place.

Notation:
    θ: a tensor in float32.  q: rounding to the live dtype.

Method:
    No candidate is written to disk and none is loaded: scoring K candidates costs K passes over the
    tensors. A tensor that stands under several names (tied embeddings) is written once. Whatever is
    written passes the same rounding, the base too, so that scores differ by what was merged alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from mixwise.errors import CheckpointError, ResourceError, first_line
from mixwise.merging.checkpoint import Checkpoint
from mixwise.merging.chunks import chunks
from mixwise.merging.rounding import round_stochastically

if TYPE_CHECKING:
    from torch import Tensor, nn

Precision = Literal["float32", "bfloat16", "float16"]
Rounding = Literal["nearest", "stochastic"]


class LiveModel:
    """A causal language model whose tensors can be overwritten.

    Args:
        module: The module, in evaluation mode, on its device.
        base: The checkpoint that it was loaded from.
        rounding: How values are brought to a live dtype that is coarser than float32.
        seed: Draw of stochastic rounding, the same for everything that is written.

    Attributes:
        module: The same module, always with the tensors written last.
        tensors: Writable tensors by canonical name, tied ones once.
        aliases: Canonical name of every name, tied ones included.
    """

    def __init__(
        self,
        module: nn.Module,
        base: Checkpoint,
        *,
        rounding: Rounding = "nearest",
        seed: int = 0,
    ) -> None:
        self.module = module
        self.base = base
        self.rounding = rounding
        self.seed = seed
        self.tensors: dict[str, Tensor] = {}
        self.aliases: dict[str, str] = {}
        self._prefix = getattr(module, "base_model_prefix", "")  # some bases are stored without it
        canonical: dict[int, str] = {}
        for name, tensor in module.state_dict(keep_vars=True).items():
            first = canonical.setdefault(id(tensor), name)
            self.aliases[name] = first
            if not tensor.is_contiguous():  # parts are written into the flattened tensor
                tensor.data = tensor.data.contiguous()
            self.tensors.setdefault(first, tensor.detach())

    @classmethod
    def load(
        cls,
        base: Checkpoint,
        *,
        precision: Precision = "float32",
        rounding: Rounding = "nearest",
        seed: int = 0,
        device: str = "cpu",
        device_map: str | None = None,
        trust_remote_code: bool = False,
    ) -> LiveModel:
        """Load the base model.

        Args:
            base: Its opened checkpoint.
            precision: dtype of the live tensors. float16 is eight times finer than bfloat16, but
                its activations may overflow.
            rounding: ``nearest``, or ``stochastic`` where rounding to nearest would lose small task
                vectors.
            seed: Draw of stochastic rounding.
            device: Torch device.
            device_map: Spreads a model that is larger than one device over all of them, as
                accelerate knows it (``auto``, ``balanced``); replaces ``device``.
            trust_remote_code: Whether code from the base's folder may run.

        Raises:
            CheckpointError: If transformers cannot build the model from the folder.
            ResourceError: If the devices together have too little memory.
        """
        module = load_module(
            base.folder,
            dtype=getattr(torch, precision),
            device_map=device_map,
            trust_remote_code=trust_remote_code,
        )
        if device_map is None:
            module.to(device=device)
        live = cls(module.eval(), base, rounding=rounding, seed=seed)
        for name, tensor in live.tensors.items():
            if tensor.is_meta:
                raise ResourceError(
                    f"{base.folder}: the model must fit into the memory of the devices, but "
                    f"`{name}` found no place: use a lower precision or more devices"
                )
        return live

    @cached_property
    def _base_names(self) -> Mapping[str, str]:
        return self.match(self.base)

    def base_tensor(self, name: str) -> Tensor:
        """One tensor of the base by its canonical name: mapped from disk, in its stored dtype."""
        return self.base.load_tensor(self._base_names[name])

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

    def write(self, name: str, values: Tensor, *, start: int = 0) -> None:
        """Overwrite one tensor, or a part of it, by its canonical name.

        Args:
            name: Canonical name of the tensor.
            values: The whole tensor or a part of it; rounded to the live dtype.
            start: First element of the part in the flattened tensor; a multiple of the chunk
                (`chunk_elements`).
        """
        live = self.tensors[name].view(-1)[start : start + values.numel()]
        is_rounded = live.dtype in (torch.bfloat16, torch.float16) and values.dtype != live.dtype
        if self.rounding == "nearest" or not is_rounded:
            live.copy_(values.reshape(-1))
            return
        for first, part in chunks(values.reshape(-1), live.device):
            exact = part.to(live.device, torch.float32)
            rounded = round_stochastically(exact, live.dtype, name, start + first, seed=self.seed)
            live[first : first + part.numel()].copy_(rounded)

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Overwrite all tensors with a full checkpoint's."""
        for canonical, name in self.match(checkpoint).items():
            self.write(canonical, checkpoint.load_tensor(name))


def load_module(
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device_map: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """Load a causal language model, from safetensors only.

    Args:
        folder: The model's folder.
        dtype: dtype of its parameters; what the architecture keeps in float32 stays so.
        device_map: Where accelerate puts its layers; None for the CPU.
        trust_remote_code: Whether code from the folder may run.

    Raises:
        CheckpointError: If transformers cannot build the model from the folder.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # its "Loading weights" bar, once per model
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            device_map=device_map,
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
