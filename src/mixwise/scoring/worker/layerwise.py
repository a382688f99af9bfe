"""A model run in three pieces: up to its layers, one layer at a time, from the last layer on.

Method:
    Layers are not called but stood in for: on the way in, by a function that notes what each of
    them is called with beside the hidden states (masks, positions, angles) and hands these on as
    they are; on the way out, by one that hands over the hidden states of the last layer. So every
    architecture prepares its layers' calls, and finishes, with its own code.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from mixwise.errors import CheckpointError
from mixwise.evaluation.likelihood.rows import Batch, batch_nats
from mixwise.models.skeleton import Skeleton, Tensors

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """What a layer is called with beside the hidden states."""

    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A batch on its way through the layers.

    Args:
        hidden: Hidden states before the next layer, on the CPU, shape ``(B, L, width)``.
        calls: How each layer is called, on the model's device.
        in_tuple: Whether layers return their hidden states within a tuple.
    """

    hidden: Tensor
    calls: tuple[Call, ...]
    in_tuple: bool


def enter(skeleton: Skeleton, batch: Batch, like: State | None = None) -> State:
    """Run a batch up to the first layer.

    Args:
        skeleton: The model, filled with the tensors outside its layers.
        batch: The rows, on the model's device.
        like: The same batch of another candidate, whose calls are kept where they agree.

    Raises:
        CheckpointError: If the architecture does more between its layers than hand on.
    """
    for in_tuple in (False, True):  # architectures differ in what a layer returns
        notes = _Notes(len(skeleton.layers), in_tuple)
        try:
            with _standing_in(skeleton, [notes.note] * len(skeleton.layers)):
                skeleton.module(
                    input_ids=batch.ids, attention_mask=batch.attention_mask, use_cache=False
                )
        except _ReachedError:
            calls = tuple(notes.calls) if like is None else _agree(tuple(notes.calls), like.calls)
            return State(notes.hidden[0].cpu(), calls, in_tuple)
        except _AlteredError:
            continue
    raise CheckpointError(
        f"{skeleton.live.base.folder}: only a model whose layers stand in one row can be read "
        "layer by layer, but this one does more between them: set "
        "`evaluation.placement` to device or split"
    )


def pass_through(skeleton: Skeleton, k: int, tensors: Tensors, state: State) -> State:
    """Run a batch through one layer.

    Args:
        skeleton: The model.
        k: Which layer, counted from 0.
        tensors: Its tensors by canonical name, on the model's device.
        state: The batch before the layer.

    Returns:
        The batch after it.
    """
    layer, call = skeleton.layers[k], state.calls[k]
    mine = {local: tensors[name] for local, name in layer.names.items()}
    arguments = (state.hidden.to(next(iter(mine.values())).device), *call.arguments)
    out = torch.func.functional_call(layer.module, mine, arguments, dict(call.options))
    hidden: Tensor = out[0] if state.in_tuple else out
    return dataclasses.replace(state, hidden=hidden.cpu())


def leave(skeleton: Skeleton, batch: Batch, state: State) -> Tensor:
    """Finish a batch after the last layer.

    Args:
        skeleton: The model, filled with the tensors outside its layers.
        batch: The rows, on the model's device.
        state: The batch after the last layer.

    Returns:
        Negative log-likelihood of each row, shape ``(B,)``, in nats.
    """
    last = state.hidden.to(batch.ids.device)

    def hand_on(hidden: Tensor, *_: Any, **__: Any) -> Any:
        return _returned(hidden, state.in_tuple)

    def hand_over(hidden: Tensor, *_: Any, **__: Any) -> Any:
        return _returned(last, state.in_tuple)

    with _standing_in(skeleton, [*[hand_on] * (len(skeleton.layers) - 1), hand_over]):
        return batch_nats(skeleton.module, batch)


class _ReachedError(Exception):
    """The last layer is called: what comes after it is not wanted."""


class _AlteredError(Exception):
    """A layer did not get what the one before it has handed on."""


@dataclass(slots=True, eq=False)
class _Notes:
    """What the layers are called with."""

    n_layers: int
    in_tuple: bool
    calls: list[Call] = field(default_factory=list)
    hidden: list[Tensor] = field(default_factory=list)

    def note(self, hidden: Tensor, *arguments: Any, **options: Any) -> Any:
        """Stand in for any of the layers."""
        if self.hidden and hidden is not self.hidden[0]:
            raise _AlteredError
        self.hidden[:] = [hidden]
        self.calls.append(Call(arguments, options))
        if len(self.calls) == self.n_layers:
            raise _ReachedError
        return _returned(hidden, self.in_tuple)


@contextlib.contextmanager
def _standing_in(skeleton: Skeleton, functions: Sequence[Callable[..., Any]]) -> Iterator[None]:
    for layer, function in zip(skeleton.layers, functions, strict=True):
        layer.module.forward = function
    try:
        yield
    finally:
        for layer in skeleton.layers:
            del layer.module.forward  # the class's own comes back


def _returned(hidden: Tensor, in_tuple: bool) -> Any:
    return (hidden,) if in_tuple else hidden


def _agree(mine: Any, other: Any) -> Any:
    """The same values, held by the other's tensors wherever these are equal."""
    if isinstance(mine, torch.Tensor):
        return other if torch.equal(mine, other) else mine
    if isinstance(mine, Call):
        return Call(_agree(mine.arguments, other.arguments), _agree(mine.options, other.options))
    if isinstance(mine, dict):
        return {key: _agree(value, other[key]) for key, value in mine.items()}
    if type(mine) in (tuple, list):
        return type(mine)(_agree(*pair) for pair in zip(mine, other, strict=True))
    return mine
