"""Where the units of a network are: which tensor holds a layer's activity, and on which axis.

Notation:
    unit: one number that a layer hands on, after its nonlinearity; of a convolution, one channel.

Method:
    Transformers: the hidden units of every MLP, taken where its last linear reads them. An MLP is
    found by its shape and not by its name: a module that itself holds two or more linears and an
    activation; or, as in BERT, one that holds a module with a linear and an activation, and behind
    it one whose linear reads as many numbers as that one makes. A classifier's head is none, though
    that of ELECTRA has the shape of one. Plain classifiers: the outputs of every linear or
    convolution but the last to run, followed through the norm and activation modules that take
    them, tensor by tensor, in one forward pass.

Source:
    Casper, Boix et al. 2021 (arXiv 1912.04783) and their code (xboix/frivolous_dnns): units are
    silenced after the nonlinearity and before pooling, a channel in all places at once.

Departures:
    Transformers are ours. In residual networks the authors silence the sums behind each block, and
    we the outputs of each convolution. Where the nonlinearity is a function and no module, units
    are taken before it: those that it leaves at 0 are silenced alike, but their components differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mixwise.errors import EvaluationError
from mixwise.models.heads import is_of_head

Change = Callable[[int, Tensor], Tensor]
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_ACTIVATION_HOMES = ("torch.nn.modules.activation", "transformers.activations")
_NO_ACTIVATIONS = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.MultiheadAttention)
_LEAST_LINEARS = 2


@dataclass(frozen=True, slots=True)
class UnitLayer:
    """The units of one layer.

    Args:
        name: Name of the module.
        module: The module that reads the units or hands them on.
        side: Whether they are its input or its output.
        axis: The tensor's axis that counts them.
    """

    name: str
    module: nn.Module
    side: Literal["input", "output"] = "output"
    axis: int = -1


def find_mlp_layers(module: nn.Module) -> tuple[UnitLayer, ...]:
    """The hidden units of every MLP of a transformer.

    Args:
        module: Any module that holds MLPs.

    Returns:
        The inputs of their last linears, in the module's order.

    Raises:
        EvaluationError: If there is no MLP that can be told by its shape.
    """
    found = tuple(_mlps(module))
    if not found:
        raise EvaluationError(
            f"{type(module).__name__}: units are the input of the last linear of each MLP, but no "
            "module holds two linears and an activation, or such modules side by side: name those "
            "linears with `--layers PATTERN`, such as `*.output.dense`"
        )
    return found


def has_mlps(module: nn.Module) -> bool:
    """Whether `find_mlp_layers` finds any."""
    return any(True for _ in _mlps(module))


def _mlps(module: nn.Module) -> Iterator[UnitLayer]:
    for layer in chain(_whole_mlps(module), _split_mlps(module)):
        if not is_of_head(layer.name):
            yield layer


def _whole_mlps(module: nn.Module) -> Iterator[UnitLayer]:
    """MLPs that are one module."""
    for path, part in module.named_modules():
        children = dict(part.named_children())
        linears = [name for name, child in children.items() if _is_linear(child)]
        if len(linears) < _LEAST_LINEARS or isinstance(part, nn.Sequential):
            continue
        if any(_is_activation(child) for child in children.values()):
            name = f"{path}.{linears[-1]}".lstrip(".")
            yield UnitLayer(name, children[linears[-1]], "input")


def _split_mlps(module: nn.Module) -> Iterator[UnitLayer]:
    """MLPs whose two linears stand in modules side by side."""
    for path, part in module.named_modules():
        n_units = None
        for name, child in () if isinstance(part, nn.ModuleList) else part.named_children():
            inner = dict(child.named_children())
            linears = {key: each for key, each in inner.items() if isinstance(each, nn.Linear)}
            if len(linears) != 1:
                continue
            [(key, linear)] = linears.items()
            if any(_is_activation(each) for each in inner.values()):
                n_units = linear.out_features
            elif linear.in_features == n_units:
                yield UnitLayer(f"{path}.{name}.{key}".lstrip("."), linear, "input")
                n_units = None


def find_named_layers(module: nn.Module, pattern: str) -> tuple[UnitLayer, ...]:
    """The inputs of all linears and convolutions whose names match a pattern.

    Args:
        module: Any module.
        pattern: As of files, such as ``*.mlp.down_proj``.

    Raises:
        EvaluationError: If none matches; names some that would.
    """
    readers = [(n, m) for n, m in module.named_modules() if _is_linear(m) or _is_convolution(m)]
    found = [(name, part) for name, part in readers if fnmatchcase(name, pattern)]
    if not found:
        known = ", ".join(f"`{name}`" for name, _ in readers[-4:])
        raise EvaluationError(
            f"{type(module).__name__}: `--layers {pattern}` must match the name of a linear or a "
            f"convolution, but matches none: choose among names such as {known}"
        )
    return tuple(UnitLayer(name, part, "input", _axis(part)) for name, part in found)


@torch.no_grad()
def find_classifier_layers(
    module: nn.Module, run: Callable[[nn.Module], object]
) -> tuple[UnitLayer, ...]:
    """The outputs of every linear or convolution of a classifier but the last.

    Args:
        module: The classifier.
        run: Makes one forward pass on any input.

    Returns:
        The layers in the order in which they run; each after the norms and activations that follow.

    Raises:
        EvaluationError: If there is no such layer, or if one module serves several of them.
    """
    tails: dict[int, UnitLayer] = {}  # by the first module of each layer
    owners: dict[int, int] = {}  # tensor → first module of the layer that it belongs to
    alive: list[Tensor] = []  # so that no two tensors have the same id

    def follow(name: str, part: nn.Module, given: Tensor, made: Tensor) -> None:
        first = owners.get(id(given))
        if _is_linear(part) or _is_convolution(part):
            tails[id(part)] = UnitLayer(name, part, "output", _axis(part))
            owners[id(made)] = id(part)
        elif first is not None and (_is_activation(part) or _is_norm(part)):
            tails[first] = UnitLayer(name, part, "output", tails[first].axis)
            owners[id(made)] = first
        alive.extend((given, made))

    with ExitStack() as stack:
        for name, part in module.named_modules():
            if not any(True for _ in part.children()):
                stack.callback(part.register_forward_hook(_observer(name, follow)).remove)
        run(module)
    layers = tuple(tails.values())[:-1]
    _require_own_modules(module, layers)
    return layers


@contextmanager
def changed_units(layers: Sequence[UnitLayer], change: Change) -> Iterator[None]:
    """Let a function replace the units of layers while the block lasts.

    Args:
        layers: The layers.
        change: Takes a layer's index and its units, which are on the last axis, and gives what
            stands in their place.
    """
    with ExitStack() as stack:
        for index, layer in enumerate(layers):
            stack.callback(_hook(layer, partial(change, index)).remove)
        yield


def _hook(layer: UnitLayer, change: Callable[[Tensor], Tensor]) -> RemovableHandle:
    def turned(units: Tensor) -> Tensor:
        return change(units.movedim(layer.axis, -1)).movedim(-1, layer.axis)

    if layer.side == "input":
        return layer.module.register_forward_pre_hook(
            lambda _, given: (turned(given[0]), *given[1:])
        )
    return layer.module.register_forward_hook(lambda _, __, made: turned(made))


def _observer(
    name: str, follow: Callable[[str, nn.Module, Tensor, Tensor], None]
) -> Callable[[nn.Module, Any, Any], None]:
    def hook(part: nn.Module, given: Any, made: Any) -> None:
        if given and isinstance(given[0], Tensor) and isinstance(made, Tensor):
            follow(name, part, given[0], made)

    return hook


def _require_own_modules(module: nn.Module, layers: Sequence[UnitLayer]) -> None:
    where = type(module).__name__
    if not layers:
        raise EvaluationError(
            f"{where}: units are the outputs of all linears and convolutions but the last, but "
            "there are none: give a network with a hidden layer"
        )
    names = [layer.name for layer in layers]
    for name in names:
        if names.count(name) > 1:
            raise EvaluationError(
                f"{where}: `{name}` serves {names.count(name)} layers, so that their units cannot "
                "be told apart: give each layer an activation module of its own, or name the "
                "modules that read them with `--layers PATTERN`"
            )


def _is_linear(part: nn.Module) -> bool:
    """Whether a module multiplies by a matrix; GPT-2's, of transformers, is no `nn.Linear`."""
    home = type(part).__module__
    is_gpt2 = home == "transformers.pytorch_utils" and type(part).__name__ == "Conv1D"
    return isinstance(part, nn.Linear) or is_gpt2


def _is_convolution(part: nn.Module) -> bool:
    return isinstance(part, _CONVOLUTIONS)


def _is_activation(part: nn.Module) -> bool:
    is_one = type(part).__module__ in _ACTIVATION_HOMES or type(part).__name__.endswith("Gelu")
    return is_one and not isinstance(part, _NO_ACTIVATIONS)


def _is_norm(part: nn.Module) -> bool:
    return isinstance(part, nn.modules.batchnorm._BatchNorm | nn.GroupNorm | nn.LayerNorm)


def _axis(part: nn.Module) -> int:
    """The axis of units: a convolution's channels stand behind the examples."""
    return 1 if _is_convolution(part) else -1
