"""The task-vector store: what experts add to the base, in one mapped file each.

Method:
    Pages are read when they are merged and may be dropped at any time: N experts cost no memory
    that the system cannot take back. On an accelerator as many tensors as fit are kept there; the
    others are copied when they are merged. `store_file` has the layout. A file is hashed when it
    is opened, or was within the last day, and is made anew where it is not what was written; what
    is written comes from an expert whose content was read again and found as it should be.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mixwise.errors import CheckpointError, DataError, MixwiseWarning, ResourceError
from mixwise.files import MEMO_FILE, HashFile, HashMemo
from mixwise.merging.task_vectors.encoding import Encoded, StorePrecision
from mixwise.merging.task_vectors.file_format import (
    hash_store_file,
    noted_hash,
    part_file,
    tensor_offsets,
    write_task_vector,
)
from mixwise.merging.task_vectors.task_vector import fingerprint_of
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.shortages import explain_failed_write

if TYPE_CHECKING:
    from torch import Tensor

_DOT_ELEMENTS = 1 << 20  # a call for fewer costs more than it saves by staying in a cache
_FORMAT = 2  # of the file; raise it when its meaning changes


class StoredTaskVector:
    """δ of a full expert, out of the store.

    Args:
        live: The live model of the base.
        file: A whole file of the store, of that base.
        fingerprint: Hash of the checkpoints and of the way in which they are stored.
    """

    def __init__(self, live: LiveModel, file: Path, fingerprint: str) -> None:
        from safetensors import safe_open

        self._live = live
        self._fingerprint = fingerprint
        self.n_bytes = file.stat().st_size
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata()
            deltas = opened.get_tensor("deltas")
            scales = opened.get_tensor("scales") if deltas.dtype == torch.int8 else None
        self.relative_error = float(metadata["relative_error"])
        self._shapes = {n: tuple(shape) for n, shape in json.loads(metadata["shapes"]).items()}
        flat = Encoded(deltas, scales)
        self._encoded = {
            name: flat.part(offset, math.prod(self._shapes[name]))
            for name, offset in tensor_offsets(self._shapes).items()
        }

    @property
    def fingerprint(self) -> str:
        """Hash of the checkpoints and of the way in which they are stored."""
        return self._fingerprint

    def __contains__(self, name: str) -> bool:
        return name in self._encoded

    def load(self, name: str) -> Tensor:
        """See `TaskVector.load`."""
        shape = self._shapes[name]
        on_device = self._encoded[name].to(self._live.tensors[name].device)
        return on_device.decode()[: math.prod(shape)].view(shape)

    def add_to(self, total: Tensor, name: str, share: float, *, start: int = 0) -> None:
        """See `TaskVector.add_to`."""
        part = self._encoded[name].part(start, total.numel()).to(total.device)
        part.add_to(total.view(-1), share)

    def dot(self, name: str, gradient: Tensor, *, start: int = 0) -> float:
        """See `TaskVector.dot`."""
        encoded, total = self._encoded[name], 0.0
        for first in range(0, gradient.numel(), _DOT_ELEMENTS):
            part = gradient.view(-1)[first : first + _DOT_ELEMENTS]
            values = encoded.part(start + first, part.numel()).to(part.device).decode()
            total += float(torch.dot(values[: part.numel()], part.float()))
        return total

    def device_of(self, name: str) -> torch.device:
        """Where the numbers of a tensor lie: its live device, or the CPU for mapped pages."""
        return self._encoded[name].deltas.device

    def place(self, budgets_bytes: dict[torch.device, int]) -> None:
        """Keep tensors on the devices of their live tensors, as far as they fit.

        Args:
            budgets_bytes: What may still be used on each device; lowered by what was.
        """
        for name, encoded in self._encoded.items():
            device = self._live.tensors[name].device
            if self.device_of(name) != device and encoded.n_bytes <= budgets_bytes.get(device, 0):
                self._encoded[name] = encoded.to(device)
                budgets_bytes[device] -= encoded.n_bytes


def open_stored(
    file: Path, live: LiveModel, expert: Checkpoint, precision: StorePrecision
) -> StoredTaskVector:
    """Open an expert's file of the store; build it where it is missing or of other content.

    Args:
        file: The file; its folder is made.
        live: The live model of the base.
        expert: A full checkpoint that fits it.
        precision: How the numbers are written down.

    Raises:
        CheckpointError: If the expert doesn't fit the base or holds a number that is not finite;
            the text names the first tensor.
        ResourceError: If the file cannot be written.
    """
    fingerprint = fingerprint_of(live.base, expert, f"{precision} {_FORMAT}")
    if _is_damaged(file, _memo(file.parent)):
        warnings.warn(damage_of(file), MixwiseWarning, stacklevel=2)
    elif _read_fingerprint(file) == fingerprint:
        try:
            return StoredTaskVector(live, file, fingerprint)
        except (FileNotFoundError, RuntimeError) as error:  # torch maps it, and raises the latter
            is_gone = isinstance(error, FileNotFoundError) or "No such file" in str(error)
            if not is_gone:  # else somebody has deleted it by now
                raise
    if open_checkpoint(expert.folder).fingerprint != expert.fingerprint:
        raise CheckpointError(
            f"{expert.folder}: has changed since it was opened: restore it and run the same "
            "command again"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part_file(file) as opened:
            write_task_vector(opened, live, expert, precision, fingerprint)
            opened.flush()
            return StoredTaskVector(live, Path(opened.name), fingerprint)  # whoever replaces it
    except OSError as error:
        raise ResourceError(
            f"the task vector of {expert.folder}: {explain_failed_write(error, file)}; it takes "
            "less room in fewer bits (`engine.task_vectors`)"
        ) from None


def find_damaged(folder: Path, *, use_memo: bool = True, read_only: bool = False) -> Iterator[Path]:
    """Files of a store that are not what was written.

    Args:
        folder: The store; it may be missing.
        use_memo: Whether a file that was hashed within the last day is taken for unchanged.
        read_only: Whether nothing is remembered beyond this process.
    """
    hashes = _memo(folder, read_only=read_only) if use_memo else hash_store_file
    for file in sorted(folder.glob("*.safetensors")):
        if _is_damaged(file, hashes):
            yield file


def damage_of(file: Path) -> str:
    """What to say of a file of the store that is not what was written."""
    return (
        f"{file}: is damaged (its content is not what its header says): the task vector is made "
        "anew from its checkpoints"
    )


def _memo(folder: Path, *, read_only: bool = False) -> HashMemo:
    return HashMemo(folder / MEMO_FILE, hash_file=hash_store_file, read_only=read_only)


def _is_damaged(file: Path, hashes: HashFile) -> bool:
    """Whether a file that is there is not what its own header says."""
    try:
        return noted_hash(file) != hashes(file)
    except (OSError, DataError):  # missing, or gone by now
        return file.is_file()


def _read_fingerprint(file: Path) -> str | None:
    """The fingerprint in a file's header; None where there is no whole file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as opened:
            return str((opened.metadata() or {}).get("fingerprint"))
    except (SafetensorError, OSError):
        return None
