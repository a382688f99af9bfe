"""The base of a problem, tried out before anything is trained.

Method:
    `build` is called twice and `evaluate` twice, with other global random numbers the second time:
    what does not repeat itself cannot be compared. So is `recalibrate`, on two more bases.
    A metric that is called differentiable must reach a tensor of the module by its graph.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from mixwise.arrays import Array
from mixwise.errors import CheckpointError, EvaluationError
from mixwise.observation import Measurement
from mixwise.problem.buffers import require_recalibrated_alike
from mixwise.problem.measuring import Values, as_array, evaluate_module, lengths_of
from mixwise.problem.problem import Problem
from mixwise.problem.states import build_module, changed_tensors, difference, not_finite

_FACTOR, _SHIFT = 1.1, 0.01  # make other weights of the base's


@dataclass(frozen=True, slots=True, eq=False)
class TriedBase:
    """What was found of a base.

    Args:
        module: The base.
        values: Of each metric, an example each.
        lengths: Examples of each set.
        evaluation_seconds: Wall time of one evaluation.
    """

    module: nn.Module
    values: Mapping[str, Array]
    lengths: Mapping[str, int]
    evaluation_seconds: float

    @property
    def n_parameters(self) -> int:
        """Numbers in its parameters, tied ones once."""
        return sum(parameter.numel() for parameter in self.module.parameters())


def try_base(problem: Problem) -> TriedBase:
    """Build and measure the base, and refuse a problem that could not be merged or compared.

    Raises:
        CheckpointError: If the base cannot be merged, or `build` does not repeat itself.
        EvaluationError: If `evaluate` does not give what was promised, or changes the module; if
            `recalibrate` fails or changes a parameter; if one of them does not repeat itself.
    """
    where = f"`build` of `{problem.name}`"
    module, again = build_module(problem), build_module(problem, seed=1)
    _require_apart(where, module, again)
    differs = difference(module, again) or next(iter(sorted(changed_tensors(module, again))), None)
    if differs is not None:
        name = differs if " " in differs else f"`{differs}`"
        raise CheckpointError(
            f"{where}: must make the same weights whenever it is called, but a second call made "
            f"others ({name}): set a seed in it"
        )
    bad = not_finite(module)
    if bad is not None:
        raise CheckpointError(f"{where}: tensor `{bad}` holds numbers that are not finite")
    started = time.perf_counter()
    first = evaluate_module(problem, module)
    seconds = time.perf_counter() - started
    _require_repeated(problem, first, evaluate_module(problem, module, seed=1))
    moved = changed_tensors(again, module)
    if moved:
        raise EvaluationError(
            f"`evaluate` of `{problem.name}` changes tensor `{min(moved)}` of the module: it must "
            "leave the module as it is"
        )
    if problem.recalibrate is not None:
        require_recalibrated_alike(problem, module, (again, build_module(problem)))
    _require_graphs(problem, again)
    values = {name: as_array(found) for name, found in first.items()}
    for name, found in values.items():
        Measurement(name, found, np.ones(len(found)))  # refuses what is not finite
    return TriedBase(module, values, lengths_of(problem, first), seconds)


def require_measured_anew(problem: Problem) -> None:
    """Refuse values that come from earlier weights of a module, as from a cache of `evaluate`.

    Merges are written into one module, one after the other. So a base that has been evaluated and
    one that has not get the same other weights, and must measure the same.

    Raises:
        EvaluationError: Names the metric that they do not agree on.
    """
    used, fresh = build_module(problem), build_module(problem)
    evaluate_module(problem, used)
    for module in (used, fresh):
        for parameter in module.parameters():
            if parameter.is_floating_point():
                parameter.data.mul_(_FACTOR).add_(_SHIFT)
    values, expected = (evaluate_module(problem, module) for module in (used, fresh))
    for name in values:
        if not np.array_equal(as_array(values[name]), as_array(expected[name]), equal_nan=True):
            raise EvaluationError(
                f"`{name}` of `{problem.name}` does not follow a module whose weights are changed "
                "after it was evaluated: `evaluate` or the module keeps something of the old ones, "
                "as in a cache: compute it anew each time"
            )


def _require_apart(where: str, one: nn.Module, other: nn.Module) -> None:
    """Refuse a module that is made once and given out again: training one would change the base."""
    taken = {t.data_ptr(): name for name, t in one.state_dict().items() if t.numel()}
    for name, tensor in other.state_dict().items():
        if tensor.data_ptr() in taken:
            raise CheckpointError(
                f"{where}: must make a new module whenever it is called, but two calls share "
                f"tensor `{name}`: build or copy it anew"
            )


def _require_repeated(problem: Problem, first: Values, again: Values) -> None:
    for name in first:
        if not np.array_equal(as_array(first[name]), as_array(again[name]), equal_nan=True):
            raise EvaluationError(
                f"`evaluate` of `{problem.name}` gave other values of `{name}` for the same "
                "module when it was called again: fix its data, and its random numbers by a seed"
            )


def _require_graphs(problem: Problem, module: nn.Module) -> None:
    names = [metric.name for metric in problem.metrics if metric.is_differentiable]
    if not names:
        return
    for parameter in module.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    values: Mapping[str, Tensor] = evaluate_module(problem, module, has_graph=True)
    for name in names:
        if not values[name].requires_grad:
            raise EvaluationError(
                f"`{name}` is called differentiable, but its values carry no graph: return "
                "tensors that are computed from the module without `no_grad`, `detach` or numpy, "
                "or give its metric `is_differentiable=False`"
            )
