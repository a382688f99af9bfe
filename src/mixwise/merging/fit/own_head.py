"""An expert with the head of its own domain alone, as one with the heads of all domains.

Notation:
    W₀ ``(K, …)``, W ``(C, …)``: a tensor of the base and of the expert that has a row for each
    label.  R: rows of the domain's head among the base's K.

Method:
    The copy has W₀ with W in the rows R, sorted by the names of labels, and the expert's other
    tensors as they are: what the expert would be, had it been trained on the base with all heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixwise.errors import CheckpointError, printable
from mixwise.label_heads import LabelHead
from mixwise.merging.fit.labels import read_names
from mixwise.models.checkpoint import FULL_FILE, Checkpoint
from mixwise.models.copies import Copies


def has_own_head(expert: Path, head: LabelHead, names: Sequence[str]) -> bool:
    """Whether a full expert has the head of its domain alone.

    Args:
        expert: Its folder.
        head: Of its domain.
        names: Of all outputs of the base.

    Raises:
        CheckpointError: If it has as many outputs as that head, but names other labels.
    """
    named = read_names(expert)
    if head.domain is None or len(named) != len(head.labels) or len(named) == len(names):
        return False
    _places(expert, head, named)
    return True


def with_all_heads(
    expert: Checkpoint,
    base: Checkpoint,
    head: LabelHead,
    names: Sequence[str],
    tensors: Sequence[str],
    copies: Copies,
) -> Checkpoint:
    """The copy of an expert that has all heads.

    Args:
        expert: A full model with the head of its domain alone.
        base: The base, which has all heads.
        head: Of the expert's domain.
        names: Of all outputs of the base.
        tensors: Names of the tensors that have a row for each label.
        copies: Where the copy is kept.

    Raises:
        CheckpointError: If a tensor of the head is missing, or of another shape.
        ResourceError: If the copy cannot be written.
    """
    form = f"among-heads-of-{base.fingerprint}-from-{head.first}"

    def write(folder: Path) -> None:
        _write(expert, base, head, names, tensors, folder)

    return copies.find_or_make(expert, form, write)


def _write(
    expert: Checkpoint,
    base: Checkpoint,
    head: LabelHead,
    names: Sequence[str],
    tensors: Sequence[str],
    folder: Path,
) -> None:
    from safetensors.torch import save_file
    from transformers import AutoConfig

    places = _places(expert.folder, head, read_names(expert.folder))
    state = {name: expert.load_tensor(name) for name in expert.tensors}
    for name in tensors:
        whole = base.load_tensor(name).float().clone()
        expected = (len(head.labels), *whole.shape[1:])
        found = tuple(state[name].shape) if name in state else None
        if found != expected:
            raise CheckpointError(
                f"{expert.folder}: tensor `{name}`, which has a row for each label, must be of "
                f"shape {expected}, but {f'is {found}' if found else 'is missing'}: use an expert "
                "that was trained from this base's body, with the labels of its domain"
            )
        whole[head.outputs.start : head.outputs.stop] = state[name].float()[places]
        state[name] = whole
    config: Any = AutoConfig.from_pretrained(expert.folder, local_files_only=True)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    config.save_pretrained(folder)
    plain = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(plain, folder / FULL_FILE, metadata={"format": "pt"})


def _places(expert: Path, head: LabelHead, named: Sequence[str]) -> list[int]:
    """The expert's output for each label of the head."""
    if all(name == f"LABEL_{index}" for index, name in enumerate(named)):
        return list(range(len(named)))  # transformers' for no name
    for label in head.labels:
        if label not in named:
            raise CheckpointError(
                f"{expert}: an expert with the head of `{head.domain}` alone must have its labels, "
                f"but names no `{printable(label, 80)}`: correct `id2label` of its config.json, or "
                "use one that was trained on these labels"
            )
    return [named.index(label) for label in head.labels]
