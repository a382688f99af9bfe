"""Checkpoints whose tensors transformers joins, splits or turns on load, as the module keeps them.

On the hub a mixture of experts has one tensor for each expert's matrix; transformers 5 holds all of
them as one tensor in memory. A merge adds what is in memory.

Method:
    transformers itself loads such a checkpoint and saves it as the module keeps it, in the dtype in
    which it is stored. Nothing is computed besides: joining and splitting move numbers. Tensors
    that are missing or have no place are not made up: such a checkpoint is handed back as it is,
    and refused by name where it is matched.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mixwise.errors import CheckpointError
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.copies import Copies
from mixwise.models.live_model import Precision
from mixwise.models.loading import load_module, map_names, version

_PRECISIONS: Mapping[str, Precision] = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def in_module_layout(checkpoint: Checkpoint, module: Any, copies: Copies) -> Checkpoint:
    """A full checkpoint whose every tensor is one of the module's.

    Args:
        checkpoint: As it was saved.
        module: A module of the base's class and configuration, with or without numbers.
        copies: Where the copy is kept, if one is needed.

    Returns:
        The checkpoint itself where nothing is converted, or where something is wrong with it that
        matching names; else its copy.

    Raises:
        CheckpointError: If transformers cannot load it, or is too old to save it so.
        ResourceError: If the copy cannot be written.
    """
    entries = {name: (e.dtype, e.shape) for name, e in checkpoint.tensors.items()}
    names = map_names(module, checkpoint.folder, entries)
    if not names.converted or names.unexpected or names.missing or names.mismatched:
        return checkpoint
    kinds = {checkpoint.tensors[source].dtype for source in names.converted.values()}
    if not kinds <= {*_PRECISIONS, "F64"}:  # quantised: refused where it is matched
        return checkpoint

    def write(folder: Path) -> None:
        loaded = load_module(
            checkpoint.folder,
            dtype=getattr(torch, stored_precision(checkpoint)),
            trust_remote_code=copies.trust_remote_code,
            auto_class=copies.auto_class,
        )
        save_as_kept(loaded, folder)

    return copies.find_or_make(checkpoint, version().replace(" ", "-"), write)


def stored_precision(checkpoint: Checkpoint) -> Precision:
    """The precision of all floating-point tensors of a checkpoint; float32 where they differ."""
    kinds = {entry.dtype for entry in checkpoint.tensors.values()}
    found = {_PRECISIONS.get(kind, "float32") for kind in kinds if "F" in kind}
    return found.pop() if len(found) == 1 else "float32"


def save_as_kept(module: Any, folder: Path) -> None:
    """Save a module with its tensors as they are in memory.

    Raises:
        CheckpointError: If the installed transformers cannot.
    """
    if "save_original_format" not in inspect.signature(module.save_pretrained).parameters:
        raise CheckpointError(
            f"{version()} cannot save a {type(module).__name__} as it keeps it in memory: "
            "install a newer one"
        )
    module.save_pretrained(folder, save_original_format=False)
