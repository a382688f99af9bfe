"""Plain Hugging Face checkpoint folders: what is in them, and single tensors out of them.

Which files count is for transformers to say (`mixwise.models.loading`): a single file goes before
an index, and what else lies in the folder is nothing to us. Only safetensors are opened; headers
are read first. Tensors are mapped from disk: their pages belong to the page cache and are read when
they are touched. Links are followed, as in the hub's cache; a path in an index must stay inside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwise.errors import (
    CheckpointError,
    first_line,
    holds_control_characters,
    printable,
    shown,
)
from mixwise.files import HashFile, hash_file

if TYPE_CHECKING:
    from torch import Tensor

FULL_FILE = "model.safetensors"
INDEX_FILE = f"{FULL_FILE}.index.json"
ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
CONFIG = "config.json"
_LONGEST_NAME = 255  # bytes, of a path in a folder
SECOND_MOMENTS_FILE = "second_moments.safetensors"  # of the optimiser, beside an expert


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
        fingerprint: Hash of the content of the tensor files that are loaded, of code that lies
            beside them, and of the configuration.
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
        CheckpointError: If the folder or its tensor files are missing, incomplete, quantised or no
            safetensors, if an index leads out of the folder or names tensors that its files lack,
            or if the folder holds a full model and an adapter.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such checkpoint folder: correct the path")
    adapter_config: dict[str, Any] = {}
    if (folder / ADAPTER_CONFIG).is_file():
        adapter_config = _load_json(folder / ADAPTER_CONFIG)
        if not adapter_config:
            raise CheckpointError(
                f"{folder / ADAPTER_CONFIG}: must describe an adapter, but is empty: copy or save "
                "the adapter again"
            )
        files = [_adapter_file(folder)]
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
    if not adapter_config and (folder / CONFIG).is_file():
        digest.update(hash_file(folder / CONFIG).encode())
    return Checkpoint(folder, tensors, adapter_config, digest.hexdigest())


def _adapter_file(folder: Path) -> Path:
    for full in (FULL_FILE, INDEX_FILE):
        if (folder / full).is_file():
            raise CheckpointError(
                f"{folder}: holds a full model (`{full}`) and an adapter (`{ADAPTER_CONFIG}`), "
                "which transformers would put on top of it: move one of them to another folder"
            )
    if not (folder / ADAPTER_FILE).is_file():
        raise CheckpointError(_no_safetensors(folder, ADAPTER_FILE))
    return folder / ADAPTER_FILE


def _full_files(folder: Path) -> list[Path]:
    """The files that transformers loads, none of them outside the folder."""
    from mixwise.models.loading import files_to_load, is_distributed

    config = _load_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    _require_unquantised(folder, config)
    if is_distributed(folder):
        raise CheckpointError(
            f"{folder}: holds a distributed checkpoint, one file per process, which mixwise cannot "
            "read: load it with transformers and save it with `save_pretrained`"
        )
    explicit = config.get("transformers_weights")
    if explicit is not None and (not isinstance(explicit, str) or _leaves(explicit)):
        raise CheckpointError(
            f"{folder / CONFIG}: `transformers_weights` must name a file of this folder, but got "
            f"{shown(explicit)}: put the file there"
        )
    index = _index_of(folder, explicit)
    by_name = _weight_map(folder, index) if index is not None else {}
    try:
        files = files_to_load(folder, explicit)
    except OSError:
        raise CheckpointError(_no_safetensors(folder, FULL_FILE)) from None
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{index or folder / CONFIG}: transformers cannot use it ({first_line(error)}): copy "
            "or save the model again"
        ) from None
    for file in files:
        if not file.is_relative_to(folder) or _leaves(str(file.relative_to(folder))):
            raise CheckpointError(
                f"{folder}: would be loaded from {file}, which is outside of it: "
                "put the files there"
            )
        if not file.is_file():
            raise CheckpointError(_no_safetensors(folder, str(file.relative_to(folder))))
    headers = {shard: _read_header(folder / shard) for shard in set(by_name.values())}
    for name, shard in by_name.items():
        if name not in headers[shard]:
            raise CheckpointError(
                f"{index}: tensor `{printable(name)}` should be in `{shard}`, but is not: copy or "
                "save the model again"
            )
    return files


def _index_of(folder: Path, explicit: str | None) -> Path | None:
    """The index whose files transformers would load; a single file goes before it."""
    if explicit is not None:
        return folder / explicit if explicit.endswith(".index.json") else None
    is_single = (folder / FULL_FILE).is_file()
    return None if is_single or not (folder / INDEX_FILE).is_file() else folder / INDEX_FILE


def _weight_map(folder: Path, index: Path) -> dict[str, str]:
    """File by tensor name, as an index says; refused when it leaves the folder."""
    files = _load_json(index).get("weight_map")
    if not isinstance(files, dict) or not files or {type(f) for f in files.values()} != {str}:
        raise CheckpointError(f"{index}: names no files in `weight_map`: save the model again")
    for name, file in files.items():
        if _leaves(file):
            raise CheckpointError(
                f"{index}: tensor `{printable(name)}` must be in a file of this folder, but "
                f"`weight_map` names {shown(file)}: put the file beside the index and name it "
                "without a path"
            )
    return files


def _leaves(file: str) -> bool:
    """Whether a name leads out of its folder, or is none that a file of it could have."""
    is_none = len(file.encode(errors="replace")) > _LONGEST_NAME or holds_control_characters(file)
    return is_none or Path(file).is_absolute() or ".." in Path(file).parts


def _require_unquantised(folder: Path, config: Mapping[str, Any]) -> None:
    quantisation = config.get("quantization_config")
    if quantisation:
        known = isinstance(quantisation, dict) and quantisation.get("quant_method")
        raise CheckpointError(
            f"{folder}: the model is quantised ({known or 'by an unnamed method'}; "
            "`quantization_config` in config.json), and mixwise merges plain floating-point "
            "tensors only: use the model as it was before quantisation"
        )


def _no_safetensors(folder: Path, missing: str) -> str:
    pickled = sorted(p.name for p in folder.glob("*.bin"))
    others = sorted(p.name for p in folder.glob("*.safetensors"))
    if pickled:
        why = f"it holds `{pickled[0]}`, which may run code when opened"
    elif (folder / ADAPTER_FILE).is_file():
        why = f"it holds `{ADAPTER_FILE}` without `{ADAPTER_CONFIG}`"
        return f"{folder}: needs a full model or an adapter, but {why}: save the adapter again"
    elif others:
        why = f"`{missing}` is missing; transformers does not read `{others[0]}` alone"
    else:
        why = f"`{missing}` is missing"
    return (
        f"{folder}: needs safetensors, but {why}: save the model with "
        "`save_pretrained(..., safe_serialization=True)`"
    )


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
            f"{file}: not a whole safetensors file ({printable(str(error))}): copy or save it again"
        ) from None


def _load_json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: cannot be read ({printable(str(error))}): copy or save it again"
        ) from None
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: must hold a JSON object: copy or save it again")
    return loaded
