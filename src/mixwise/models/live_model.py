"""One model in memory, into which any checkpoint or merge is written in place.

Notation:
    θ: a tensor in float32.  q: rounding to the live dtype.

Method:
    No candidate is written to disk and none is loaded: scoring K candidates costs K passes over the
    tensors. A tensor that stands under several names (tied embeddings) is written once. Whatever is
    written passes the same rounding, the base too, so that scores differ by what was merged alone.
    Which stored tensor is which tensor of the module is asked of transformers, and once a base is
    loaded, every number is compared with the one that would be merged in its place.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch

from mixwise.errors import CheckpointError, MixwiseWarning, ResourceError
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.chunks import chunks
from mixwise.models.loading import (
    NameMap,
    build_module,
    load_module,
    map_names,
    never_built,
    version,
)
from mixwise.models.rounding import round_stochastically
from mixwise.tasks import CAUSAL_LM

if TYPE_CHECKING:
    from torch import Tensor, nn

Precision = Literal["float32", "bfloat16", "float16"]
Rounding = Literal["nearest", "stochastic"]

_Entry = tuple[str, tuple[int, ...]]  # dtype and shape of a stored tensor
_FLOATING = ("F64", "F32", "F16", "BF16")  # safetensors' names


class LiveModel:
    """A model whose tensors can be overwritten.

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
        self._matches: dict[str, Mapping[str, str]] = {}
        self._name_maps: dict[tuple[tuple[str, _Entry], ...], NameMap] = {}
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
        auto_class: str = CAUSAL_LM.auto_class,
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
            auto_class: Class of transformers that opens it.

        Raises:
            CheckpointError: If transformers cannot build the model from the folder.
            ResourceError: If the devices together have too little memory.
        """
        dtype = getattr(torch, precision)
        try:
            module = load_module(
                base.folder,
                dtype=dtype,
                device_map=device_map,
                trust_remote_code=trust_remote_code,
                auto_class=auto_class,
            )
        except CheckpointError:
            _explain(base, dtype, trust_remote_code=trust_remote_code, auto_class=auto_class)
            raise
        if device_map is None:
            module.to(device=device)
        live = cls(module.eval(), base, rounding=rounding, seed=seed)
        for name, tensor in live.tensors.items():
            if tensor.is_meta:
                raise ResourceError(
                    f"{base.folder}: the model must fit into the memory of the devices, but "
                    f"`{name}` found no place: use a lower precision or more devices"
                )
        live._require_loaded_as_mapped()
        return live

    @cached_property
    def _base_names(self) -> Mapping[str, str]:
        return self.match(self.base)

    def base_tensor(self, name: str) -> Tensor:
        """One tensor of the base by its canonical name: mapped from disk, in its stored dtype."""
        return self.base.load_tensor(self._base_names[name])

    def match(self, checkpoint: Checkpoint) -> Mapping[str, str]:
        """Find the stored name of every live tensor in a full checkpoint, as transformers does.

        Args:
            checkpoint: The checkpoint to be written or merged.

        Returns:
            Stored name by canonical name.

        Raises:
            CheckpointError: Names the first tensor that is missing, unknown, of another shape, no
                plain floating-point number, converted when it is loaded, or stored twice with
                different values although the model ties it.
        """
        if checkpoint.fingerprint not in self._matches:
            self._matches[checkpoint.fingerprint] = self._match(checkpoint)
        return self._matches[checkpoint.fingerprint]

    def _match(self, checkpoint: Checkpoint) -> Mapping[str, str]:
        names = self._map_names(checkpoint)
        self._require_all(checkpoint, names)
        stored: dict[str, str] = {}
        for name, source in names.stored.items():
            canonical = self.aliases[name]
            if stored.setdefault(canonical, source) != source:
                self._require_tied(checkpoint, stored[canonical], source)
        for canonical, source in stored.items():
            self._require_plain(checkpoint, canonical, source)
        if any(checkpoint.tensors[source].dtype == "F64" for source in stored.values()):
            warnings.warn(
                f"{checkpoint.folder}: it is saved in float64, but is read as float32, in which "
                "everything is merged: what lies below float32's rounding is lost",
                MixwiseWarning,
                stacklevel=4,
            )
        return stored

    def _map_names(self, checkpoint: Checkpoint) -> NameMap:
        """Ask transformers once for all checkpoints of the same names, dtypes and shapes."""
        entries = {name: (e.dtype, e.shape) for name, e in checkpoint.tensors.items()}
        layout = tuple(sorted(entries.items()))
        if layout not in self._name_maps:
            self._name_maps[layout] = map_names(self.module, checkpoint.folder, entries)
        return self._name_maps[layout]

    def _require_all(self, checkpoint: Checkpoint, names: NameMap) -> None:
        where, architecture = checkpoint.folder, type(self.module).__name__
        is_base = where == self.base.folder
        left_out = never_built(names.unexpected, self.aliases)
        for name in names.unexpected:
            if name in left_out and (is_base or name in self.base.tensors):
                continue
            if not is_base:
                raise CheckpointError(
                    f"{where}: tensor `{name}` is not part of the base model "
                    f"{self.base.folder}: {self._remedy(checkpoint)}"
                )
            raise CheckpointError(
                f"{where}: tensor `{name}` has no place in the {architecture} that {version()} "
                "makes of config.json, and would be left out with a warning: "
                f"{self._remedy(checkpoint)}, save the model again without it, or install a "
                "transformers that knows it"
            )
        for mismatch in names.mismatched:
            owner = "config.json says" if is_base else "in the base"
            raise CheckpointError(
                f"{where}: tensor `{mismatch.name}` must have shape {mismatch.expected}, as "
                f"{owner}, but got {mismatch.stored}: {self._remedy(checkpoint)}"
            )
        for name in names.missing:
            raise CheckpointError(
                f"{where}: tensor `{name}` is missing: {self._remedy(checkpoint)}"
            )
        for name, source in names.converted.items():
            raise CheckpointError(
                f"{where}: tensor `{source}` is not stored as {version()} keeps it: on load it is "
                f"converted into `{name}` of {architecture}, which is what can be merged: "
                "open it by `mixwise.models.module_layout`, or save it with "
                "`save_pretrained(..., save_original_format=False)`"
            )
        if left_out:
            warnings.warn(
                f"{where}: {len(left_out)} of its tensors, the first `{left_out[0]}`, belong to "
                f"modules that no {architecture} has: they are left out of training, merging and "
                "evaluation",
                MixwiseWarning,
                stacklevel=5,
            )
        unknown = self.aliases.keys() - names.stored.keys()
        assert not unknown, f"tensors that are neither stored nor missing: {sorted(unknown)}"

    def _require_plain(self, checkpoint: Checkpoint, canonical: str, source: str) -> None:
        dtype = checkpoint.tensors[source].dtype
        if self.tensors[canonical].is_floating_point() and dtype not in _FLOATING:
            raise CheckpointError(
                f"{checkpoint.folder}: tensor `{source}` is stored as {dtype}, and mixwise merges "
                f"plain floating-point numbers only ({', '.join(_FLOATING)}): use the weights as "
                "they were before quantisation"
            )

    def _require_loaded_as_mapped(self) -> None:
        """Compare what transformers has loaded with what is mapped, number by number."""
        for name, live in self.tensors.items():
            for start, part in chunks(self.base_tensor(name), live.device):
                loaded = live.view(-1)[start : start + part.numel()]
                mapped = part.to(live.device, live.dtype)
                if torch.equal(loaded, mapped):
                    continue
                if not bool(((loaded == mapped) | (loaded.isnan() & mapped.isnan())).all()):
                    raise CheckpointError(
                        f"{self.base.folder}: {version()} loads other numbers into `{name}` than "
                        f"are stored as `{self._base_names[name]}`: mixwise cannot merge tensors "
                        "that are converted on load; save the model again with `save_pretrained`"
                    )

    def _remedy(self, checkpoint: Checkpoint) -> str:
        if checkpoint.folder == self.base.folder:
            return "use weights and a config.json that belong together"
        return "use an expert that was trained from this base"

    def _require_tied(self, checkpoint: Checkpoint, first: str, second: str) -> None:
        if torch.equal(checkpoint.load_tensor(first), checkpoint.load_tensor(second)):
            return
        if checkpoint.folder == self.base.folder:
            raise CheckpointError(
                f"{checkpoint.folder}: config.json ties tensors `{first}` and `{second}`, but they "
                "differ: set `tie_word_embeddings` to false there"
            )
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


def _explain(
    base: Checkpoint, dtype: torch.dtype, *, trust_remote_code: bool, auto_class: str
) -> None:
    """Raise the reason why a base cannot be loaded, if it lies in its tensors."""
    try:
        module = build_module(
            base.folder, dtype=dtype, trust_remote_code=trust_remote_code, auto_class=auto_class
        )
    except CheckpointError:  # nor can it be built: what loading said is as good
        return
    LiveModel(module, base).match(base)
