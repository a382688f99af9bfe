"""Whether the graphs of differentiable metrics lead to all that they depend on.

Notation:
    m: mean of a metric's values on the base.  g: its gradient in the parameters.  d = g / ‖g‖.

Method:
    A step h along d changes m by h ‖g‖, where nothing of it is cut off (`detach`) and it does not
    jump. Taken is the central difference of both sides, at h of a thousandth of the parameters'
    norm; where the change is too small to be told from rounding, nothing is said.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mixwise.errors import MixwiseWarning
from mixwise.problem.measuring import as_array, evaluate_module
from mixwise.problem.problem import Problem
from mixwise.problem.states import build_module

_STEP = 1e-3  # of the parameters' norm
_TOLD = 1e-4  # of |m|: a change of less may be rounding, in float32
_TOLERANCE = 0.25


def warn_of_cut_graphs(problem: Problem) -> None:
    """Warn of metrics that move otherwise than their graph says."""
    module = build_module(problem)
    names = [metric.name for metric in problem.metrics if metric.is_differentiable]
    moved = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if any(p.dtype not in (torch.float32, torch.float64) for p in moved.values()):
        return  # a step along the gradient would be lost in rounding
    size = _norm({name: p.detach() for name, p in moved.items()})
    for name in names:
        gradients = _gradients(problem, module, name, moved)
        slope, step = _norm(gradients), _STEP * size
        before = abs(_mean(problem, module, name))
        if slope * step <= _TOLD * before:
            continue
        sides = [_at(problem, module, name, moved, gradients, s * step / slope) for s in (1, -1)]
        found = (sides[0] - sides[1]) / (2 * step)
        if abs(found - slope) > _TOLERANCE * slope:
            warnings.warn(
                f"`{name}` of `{problem.name}` changes by {found:.3g} along its gradient on the "
                f"base, whose graph says {slope:.3g}: its graph is cut (`detach`), or it jumps, "
                "and its slopes are wrong: mend it, or say `is_differentiable=False`",
                MixwiseWarning,
                stacklevel=2,
            )


def _gradients(
    problem: Problem, module: nn.Module, name: str, moved: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    mean = evaluate_module(problem, module, has_graph=True)[name].double().mean()
    found = torch.autograd.grad(mean, list(moved.values()), allow_unused=True)
    return {name: g for name, g in zip(moved, found, strict=True) if g is not None}


def _at(
    problem: Problem,
    module: nn.Module,
    name: str,
    moved: Mapping[str, nn.Parameter],
    gradients: Mapping[str, Tensor],
    factor: float,
) -> float:
    """The metric a step along its gradient away; the module is left as it was."""
    kept = {key: moved[key].detach().clone() for key in gradients}
    with torch.no_grad():
        for key, gradient in gradients.items():
            moved[key].add_(gradient, alpha=factor)
    try:
        return _mean(problem, module, name)
    finally:
        with torch.no_grad():
            for key, tensor in kept.items():
                moved[key].copy_(tensor)


def _mean(problem: Problem, module: nn.Module, name: str) -> float:
    return float(as_array(evaluate_module(problem, module)[name]).mean())


def _norm(tensors: Mapping[str, Tensor]) -> float:
    return float(sum(float(t.double().square().sum()) for t in tensors.values())) ** 0.5
