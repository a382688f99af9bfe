"""Plain Hugging Face checkpoint folders: what is in them, and single tensors out of them.

Only safetensors are opened; headers are read first. Tensors are mapped from disk: their pages
belong to the page cache and are read when they are touched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwise.errors import CheckpointError
from mixwise.files import HashFile, hash_file

if TYPE_CHECKING:
    from torch import Tensor

FULL_FILE = "model.safetensors"
ADAPTER_FILE = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of a checkpoint: its file, shape and dtype (safetensors' name, such as F32)."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


class _MappedFiles:
    """Files that this process has mapped; a pickled copy maps its own."""

    def __init__(self) -> None:
        self._opened: dict[Path, Any] = {}

    def load(self, file: Path, name: str) -> Tensor:
        from safetensors import safe_open

        if file not in self._opened:  # opening maps the file and reads its header: once is enough
            self._opened[file] = safe_open(file, framework="pt")
        tensor: Tensor = self._opened[file].get_tensor(name)
        return tensor

    def __reduce__(self) -> tuple[type[_MappedFiles], tuple[()]]:
        return _MappedFiles, ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened folder: a full model, or a LoRA adapter.

    Args:
        folder: The folder.
        tensors: Its tensors by name.
        adapter_config: Content of ``adapter_config.json``; empty for a full model.
        fingerprint: Hash of the content of all its tensor files and of its configuration.
    """

    folder: Path
    tensors: Mapping[str, TensorEntry]
    adapter_config: Mapping[str, Any]
    fingerprint: str
    _files: _MappedFiles = field(
        default_factory=_MappedFiles, init=False, compare=False, repr=False
    )

    @property
    def is_adapter(self) -> bool:
        """Whether the folder holds a LoRA adapter and not a full model."""
        return bool(self.adapter_config)

    @property
    def n_bytes(self) -> int:
        """Size of the tensor files in bytes."""
        return sum(file.stat().st_size for file in {e.file for e in self.tensors.values()})

    def load_tensor(self, name: str) -> Tensor:
        """One tensor on the CPU, in the dtype in which it is stored; not to be written to."""
        return self._files.load(self.tensors[name].file, name)


def open_checkpoint(folder: Path, *, hash_file: HashFile = hash_file) -> Checkpoint:
    """Open a folder as `save_pretrained` of transformers or PEFT writes it.

    Args:
        folder: The folder.
        hash_file: Hashes a file; a study passes one that remembers unchanged files.

    Raises:
        CheckpointError: If the folder or its tensor files are missing, incomplete or no
            safetensors.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such checkpoint folder: correct the path")
    adapter_config: dict[str, Any] = {}
    if (folder / ADAPTER_FILE).is_file():
        adapter_config = _load_json(folder / "adapter_config.json")
        files = [folder / ADAPTER_FILE]
    else:
        files = _full_files(folder)
    tensors: dict[str, TensorEntry] = {}
    for file in files:
        tensors.update(_read_header(file))
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(hash_file(file).encode())
    digest.update(json.dumps(adapter_config, sort_keys=True).encode())
    for code in sorted(folder.glob("*.py")) if not adapter_config else ():
        digest.update(hash_file(code).encode())
    if not adapter_config and (folder / "config.json").is_file():
        digest.update(hash_file(folder / "config.json").encode())
    return Checkpoint(folder, tensors, adapter_config, digest.hexdigest())


def _full_files(folder: Path) -> list[Path]:
    index = folder / f"{FULL_FILE}.index.json"
    if index.is_file():
        shards = _load_json(index).get("weight_map")
        if not isinstance(shards, dict) or not all(isinstance(s, str) for s in shards.values()):
            raise CheckpointError(f"{index}: names no files in `weight_map`: save the model again")
        files = [folder / Path(shard).name for shard in sorted(set(shards.values()))]
    else:
        files = [folder / FULL_FILE]
    for file in files:
        if not file.is_file():
            pickled = sorted(p.name for p in folder.glob("*.bin"))
            why = (
                f"it holds `{pickled[0]}`, which may run code when opened"
                if pickled
                else (f"`{file.name}` is missing")
            )
            raise CheckpointError(
                f"{folder}: needs safetensors, but {why}: save the model with "
                "`save_pretrained(..., safe_serialization=True)`"
            )
    return files


def _read_header(file: Path) -> dict[str, TensorEntry]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            return {
                name: TensorEntry(file, tuple(part.get_shape()), str(part.get_dtype()))
                for name, part in slices.items()
            }
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file}: not a whole safetensors file ({error}): copy or save it again"
        ) from None


def _load_json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}): copy or save it again") from None
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: must hold a JSON object: copy or save it again")
    return loaded
