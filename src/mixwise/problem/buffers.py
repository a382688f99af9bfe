"""Buffers of a network of the user's: which training has moved, and their values in other networks.

Method:
    Buffers are no weights. Whole numbers are the base's in every network that was not trained
    itself; so are floating-point buffers that training has moved, until `recalibrate` estimates
    them anew: in a merge, and in an expert whose step from the base is taken longer.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import nn

from mixwise.errors import CheckpointError, EvaluationError, MixwiseWarning, first_line
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.problem.problem import Problem
from mixwise.problem.seeds import seeded
from mixwise.problem.states import buffer_names, changed_tensors, first_moved, places_of

_SEED = 0  # of what `recalibrate` draws
_RELATIVE, _ABSOLUTE = 1e-3, 1e-5  # by which two estimates of one buffer may differ


class Buffers:
    """The buffers of a live network.

    Args:
        problem: The problem.
        live: The live network.
    """

    def __init__(self, problem: Problem, live: LiveModel) -> None:
        self._problem = problem
        self._live = live

    def moved(self, models: Sequence[Checkpoint]) -> tuple[str, ...]:
        """Floating-point buffers that training has moved in any of these models.

        Raises:
            CheckpointError: If there is one, and no `recalibrate`.
        """
        found: dict[str, None] = {}
        for model in models:
            names = self._differ(model, is_floating=True)
            if names and self._problem.recalibrate is None:
                raise CheckpointError(f"{model.folder}: {why_not_averaged(names[0])}")
            found |= dict.fromkeys(names)
        return tuple(found)

    def estimate(self, names: Sequence[str]) -> None:
        """Estimate moved buffers anew, for the tensors that the live network has now.

        Args:
            names: Of the buffers; none to leave all as they are.

        Raises:
            EvaluationError: See `recalibrate_module`.
        """
        if not names or self._problem.recalibrate is None:
            return
        for name in names:
            self._live.write(name, self._live.base_tensor(name))
        recalibrate_module(self._problem, self._live.module)

    def tell_counters(self, models: Sequence[Checkpoint]) -> None:
        """Say which whole numbers the models do not agree on."""
        counters = {name for model in models for name in self._differ(model, is_floating=False)}
        if counters:
            more = f" and {len(counters) - 1} more" if len(counters) > 1 else ""
            warnings.warn(
                f"problem `{self._problem.name}`: training changes `{min(counters)}`{more}, whole "
                "numbers that are not averaged: merges have the base's",
                MixwiseWarning,
                stacklevel=2,
            )

    def _differ(self, model: Checkpoint, *, is_floating: bool) -> list[str]:
        """Tensors that are not the base's: floating-point buffers, or whole numbers."""
        stored = self._live.match(model)
        return [
            name
            for name in (buffer_names(self._live.module) if is_floating else self._live.tensors)
            if self._live.tensors[name].is_floating_point() == is_floating
            and not torch.equal(model.load_tensor(stored[name]), self._live.base_tensor(name))
        ]


def recalibrate_module(problem: Problem, module: nn.Module) -> None:
    """Let the user's function estimate the buffers of a module, whose parameters stay.

    Raises:
        EvaluationError: If `recalibrate` fails, replaces a tensor, or changes a parameter.
    """
    assert problem.recalibrate is not None  # whoever asks for it has looked
    places = places_of(module)
    versions = {n: p._version for n, p in module.named_parameters()}
    try:
        with torch.enable_grad(), seeded(_SEED):
            problem.recalibrate(module)
    except Exception as error:  # whatever the user's code raises
        raise EvaluationError(
            f"`recalibrate` of `{problem.name}` failed ({type(error).__name__}: "
            f"{first_line(error)}): mend it"
        ) from error
    moved = first_moved(module, places)
    if moved is not None:
        raise EvaluationError(
            f"`recalibrate` of `{problem.name}` moves or replaces tensor `{moved}`, so that the "
            "next merge could not be written into it: change buffers in place, as with `copy_`"
        )
    for name, parameter in module.named_parameters():
        if parameter._version != versions.get(name):
            raise EvaluationError(_changes_parameter(problem, name))


def require_recalibrated_alike(
    problem: Problem, base: nn.Module, pair: Sequence[nn.Module]
) -> None:
    """Recalibrate two fresh bases, and refuse a function that does not repeat itself.

    Args:
        problem: A problem with `recalibrate`.
        base: The base, which stays as it is.
        pair: Two more, which are changed.

    Raises:
        EvaluationError: If it does not, or see `recalibrate_module`.
    """
    for module in pair:
        recalibrate_module(problem, module)
    buffers = buffer_names(base)
    for name in sorted(changed_tensors(base, pair[0]) - set(buffers)):
        raise EvaluationError(_changes_parameter(problem, name))
    states = [module.state_dict() for module in pair]
    for name in buffers:
        one, other = (state[name].double().cpu() for state in states)
        if not torch.allclose(one, other, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True):
            raise EvaluationError(
                f"`recalibrate` of `{problem.name}` gave another `{name}` for the same module when "
                "it was called again, so that a merge would measure by what came before it: read "
                "the same data from the beginning each time"
            )


def _changes_parameter(problem: Problem, name: str) -> str:
    return (
        f"`recalibrate` of `{problem.name}` has changed parameter `{name}`: it must change buffers "
        "alone"
    )


def why_not_averaged(buffer: str) -> str:
    """Why a network whose buffer was moved by training cannot be merged."""
    return (
        f"training has moved buffer `{buffer}`, and the mean of running statistics is not that of "
        "the merged network: give `recalibrate`, which estimates it anew after each merge, or keep "
        "it as the base's in training"
    )
