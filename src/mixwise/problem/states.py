"""The tensors of a module: which can be merged, how they are kept, and whether two modules match.

Method:
    A module is its parameters and persistent buffers: what ``state_dict`` names. Whatever else it
    keeps would be lost where tensors of one module are written into another, so it is looked for,
    and refused by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from mixwise.errors import CheckpointError, TrainingError, first_line
from mixwise.models.checkpoint import FULL_FILE
from mixwise.problem.problem import Problem
from mixwise.problem.seeds import seeded
from mixwise.shortages import explain_failed_write

if TYPE_CHECKING:
    from torch import Tensor

_FLOATING = (torch.float32, torch.bfloat16, torch.float16)
_PLAIN_CLASSES = (torch.Tensor, nn.Parameter)


def unmergeable(module: nn.Module) -> str | None:
    """Why a module cannot be merged, naming the first tensor; None where it can."""
    owned = dict(_owned(module))
    state = module.state_dict(keep_vars=True)
    for name, tensor in state.items():
        reason = _refusal(tensor, owned.get(name))
        if reason is not None:
            return f"`{name}` {reason}"
    for name, _ in module.named_parameters(remove_duplicate=False):
        if name not in state:
            return f"parameter `{name}` is not in `state_dict`, so it would be lost: register it"
    return _overlap(state)


def _owned(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _refusal(tensor: object, owned: Tensor | None) -> str | None:
    if not isinstance(tensor, torch.Tensor):
        return (
            f"in `state_dict` is no tensor but {type(tensor).__name__} (`get_extra_state`), which "
            "cannot be averaged: keep it as a buffer, or outside of the module"
        )
    if is_lazy(tensor):
        return "is not initialised yet (a lazy module): run it once in `build`"
    if owned is None or owned is not tensor:
        return (
            "in `state_dict` is not the module's own tensor but a copy made by a hook, so that "
            "nothing could be written into it: remove the hook"
        )
    if type(tensor) not in _PLAIN_CLASSES or tensor.is_quantized:
        return f"is a {type(tensor).__name__} of {tensor.dtype}, no plain tensor: use plain weights"
    if tensor.layout != torch.strided:
        return f"is stored as {tensor.layout}: use dense tensors"
    if tensor.is_meta:
        return "is on the meta device and has no numbers: give it some in `build`"
    if (tensor.is_floating_point() or tensor.is_complex()) and tensor.dtype not in _FLOATING:
        return f"is of {tensor.dtype}, and merges are of float32, bfloat16 or float16: use one"
    return None


def _overlap(state: dict[str, Tensor]) -> str | None:
    """Two different tensors that share memory: writing one would change the other."""
    unique = {id(tensor): (name, tensor) for name, tensor in reversed(state.items())}.values()
    ordered = sorted(
        ((t.device.type, t.data_ptr(), name, t) for name, t in unique if t.numel()),
        key=lambda row: row[:2],
    )
    for (kind, start, name, tensor), (other, begin, later, _) in itertools.pairwise(ordered):
        end = start + tensor.element_size() * (
            1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
        )
        if kind == other and begin < end:
            return (
                f"`{name}` and `{later}` share memory without being one tensor: give each its own, "
                "or tie them by one parameter"
            )
    return None


def groups(module: nn.Module) -> dict[str, str]:
    """First name of the tensor behind every name of ``state_dict``: tied ones have one."""
    first: dict[int, str] = {}
    state = module.state_dict(keep_vars=True)
    return {name: first.setdefault(id(tensor), name) for name, tensor in state.items()}


def buffer_names(module: nn.Module) -> tuple[str, ...]:
    """Names in ``state_dict`` that are no parameters, each tensor once."""
    state = module.state_dict(keep_vars=True)
    first = set(groups(module).values())
    return tuple(n for n, t in state.items() if n in first and not isinstance(t, nn.Parameter))


def not_finite(module: nn.Module) -> str | None:
    """The first tensor that holds a number that is none."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return None


def difference(base: nn.Module, other: nn.Module) -> str | None:
    """Where two modules differ in more than the values of their tensors; None where they do not."""
    ours, theirs = base.state_dict(), other.state_dict()
    for name in ours:
        if name not in theirs:
            return f"tensor `{name}` is missing"
    for name, tensor in theirs.items():
        if name not in ours:
            return f"tensor `{name}` is not in the base"
        for what, was, now in (
            ("shape", tuple(ours[name].shape), tuple(tensor.shape)),
            ("dtype", ours[name].dtype, tensor.dtype),
        ):
            if was != now:
                return f"tensor `{name}` must have {what} {was}, as in the base, but has {now}"
    tied, found = groups(base), groups(other)
    for name in tied:
        if tied[name] != found[name]:
            return (
                f"`{name}` and `{tied[name]}` are one tensor in the base, or here, but not in both"
            )
    return _hidden_difference(base, other)


def _hidden_difference(base: nn.Module, other: nn.Module) -> str | None:
    kept = base.state_dict().keys()
    ours = {n: t for n, t in base.named_buffers() if n not in kept}
    theirs = {n: t for n, t in other.named_buffers() if n not in kept}
    for name in {**ours, **theirs}:
        pair = [each.get(name) for each in (ours, theirs)]
        if any(t is None for t in pair) or not torch.equal(*(t.detach().cpu() for t in pair)):  # type: ignore[union-attr]
            return (
                f"buffer `{name}` has changed, but is not in `state_dict` and would be lost: "
                "register it with `persistent=True`"
            )
    return None


def changed_tensors(base: nn.Module, other: nn.Module) -> set[str]:
    """Names whose values differ."""
    ours, theirs = base.state_dict(), other.state_dict()
    return {name for name in ours if not torch.equal(ours[name].cpu(), theirs[name].cpu())}


def places_of(module: nn.Module) -> dict[str, tuple[torch.device, int]]:
    """Device and address of every tensor."""
    return {name: (t.device, t.data_ptr()) for name, t in module.state_dict().items()}


def first_moved(module: nn.Module, places: Mapping[str, tuple[torch.device, int]]) -> str | None:
    """The first tensor that is no longer in its place; None where all are."""
    found = places_of(module)
    return next((name for name in {**places, **found} if places.get(name) != found.get(name)), None)


def save_state(module: nn.Module, folder: Path) -> None:
    """Write all tensors to ``model.safetensors``, at once or not at all; tied ones by every name.

    Raises:
        ResourceError: If it cannot be written, as on a full disk.
    """
    from safetensors.torch import save_file

    state = module.state_dict()
    copied = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    partial = folder / f".{FULL_FILE}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(copied, partial, {"format": "pt"})
        partial.replace(folder / FULL_FILE)
    except OSError as error:
        raise explain_failed_write(error, folder) from None


def build_module(problem: Problem, seed: int = 0) -> nn.Module:
    """A fresh base.

    Args:
        problem: The problem.
        seed: Of the global random numbers, which `build` must not depend on.

    Raises:
        CheckpointError: If `build` fails, or what it makes cannot be merged.
    """
    where = f"`build` of `{problem.name}`"
    try:
        with seeded(seed):
            built = problem.build()
    except Exception as error:  # whatever the user's code raises
        raise CheckpointError(
            f"{where}: failed ({type(error).__name__}: {first_line(error)}): mend it"
        ) from error
    return require_mergeable(built, where)


def require_mergeable(module: object, where: str) -> nn.Module:
    """Refuse what is no module, or none that can be merged.

    Raises:
        CheckpointError: Names the first tensor.
    """
    if not isinstance(module, nn.Module):
        raise CheckpointError(
            f"{where}: must return a torch.nn.Module, but returned {type(module).__name__}"
        )
    reason = unmergeable(module)
    if reason is not None:
        raise CheckpointError(f"{where}: {reason}")
    if not module.state_dict():
        raise CheckpointError(f"{where}: the module has no tensors: there is nothing to merge")
    return module


def require_trained(base: nn.Module, trained: nn.Module, where: str) -> None:
    """Refuse a module that does not come from the base, or whose training diverged.

    Raises:
        CheckpointError: Names the first tensor that cannot be merged with the base's.
        TrainingError: Names the first that is not finite.
    """
    found = difference(base, trained)
    if found is not None:
        raise CheckpointError(f"{where}: {found}: `train` must return what `build` built, trained")
    name = not_finite(trained)
    if name is not None:
        raise TrainingError(
            f"{where}: tensor `{name}` holds numbers that are not finite: training diverged; train "
            "at a lower rate"
        )
