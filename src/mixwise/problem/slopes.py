"""Slopes and Hessians of what `evaluate` returns, in the shares.

Notation:
    x_m: a metric, the mean of its examples x_me.  λ: shares, ``(n,)``.  θ(λ): merge.

Method:
    `evaluate` runs once with its graph. Each metric is passed backward by itself, and each tensor's
    gradient is reduced to n products as soon as autograd has it; derivatives of each example take a
    pass each. The Hessian is by double backward (`mixwise.scoring.derivatives.curvature`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mixwise.arrays import Array
from mixwise.merging.tangents import Tangents
from mixwise.models.live_model import LiveModel
from mixwise.observation import Derivatives
from mixwise.problem.measuring import ModuleSuite, Values
from mixwise.scorer import Request
from mixwise.scoring.derivatives.curvature import backward_along
from mixwise.scoring.derivatives.slopes import differentiable_tensors


@dataclass(frozen=True, slots=True, eq=False)
class Differentiated:
    """Values of every metric, and derivatives of those that were asked for."""

    values: Values
    derivatives: Mapping[str, Derivatives]


def differentiate(
    live: LiveModel,
    tangents: Tangents,
    suite: ModuleSuite,
    names: Sequence[str],
    request: Request,
) -> Differentiated:
    """Measure the merge that is in the live model, and differentiate some metrics.

    Args:
        live: The live model.
        tangents: How the merge moves with the shares.
        suite: What is measured.
        names: Metrics to differentiate; one that no moved tensor reaches has slopes of 0.
        request: Order 1 or 2, and whether derivatives of each example are wanted.
    """
    column = np.zeros(tangents.n_shares)

    def take(name: str, gradient: Tensor) -> None:
        np.add(column, tangents.pull(name, gradient), out=column)

    with (
        differentiable_tensors(live, tangents, take) as tensors,
        sdpa_kernel(SDPBackend.MATH) if request.order == 2 else nullcontext(),
    ):
        values = suite.measure(live.module, has_graph=True)
        tape = _Tape(tangents, tensors, column)
        found = {name: tape.derivatives(values[name], request) for name in names}
    return Differentiated({name: each.detach() for name, each in values.items()}, found)


@dataclass(frozen=True, slots=True, eq=False)
class _Tape:
    """Passes backward through one recorded evaluation.

    Args:
        tangents: How the merge moves with the shares.
        tensors: The parameters that get a gradient, whose hooks add to the column.
        column: Sum of the products since it was last set to 0, shape ``(n,)``.
    """

    tangents: Tangents
    tensors: Mapping[str, nn.Parameter]
    column: Array

    def derivatives(self, values: Tensor, request: Request) -> Derivatives:
        """Derivatives of the mean of some values, and of each where that is wanted."""
        of_mean = self._of(values.double().mean(), request.order)
        if not request.per_example:
            return Derivatives(of_mean.slopes, of_mean.hessian)
        each = [self._of(value, request.order) for value in values.double()]
        hessians = [found.hessian for found in each if found.hessian is not None]
        return Derivatives(
            of_mean.slopes,
            of_mean.hessian,
            np.stack([found.slopes for found in each]),
            np.stack(hessians) if hessians else None,
        )

    def _of(self, scalar: Tensor, order: int) -> Derivatives:
        n = self.tangents.n_shares
        if not scalar.requires_grad:  # no tensor that the shares move reaches it
            return Derivatives(np.zeros(n), np.zeros((n, n)) if order == 2 else None)
        if order == 1:
            self.column[:] = 0
            scalar.backward(retain_graph=True)  # type: ignore[no-untyped-call]
            return Derivatives(self.column.copy())
        return self._twice(scalar)

    def _twice(self, scalar: Tensor) -> Derivatives:
        n, slopes = self.tangents.n_shares, np.zeros(self.tangents.n_shares)
        hessian = np.zeros((n, n))
        found = torch.autograd.grad(
            scalar, list(self.tensors.values()), create_graph=True, allow_unused=True
        )
        gradients = {k: g for k, g in zip(self.tensors, found, strict=True) if g is not None}
        for name, gradient in gradients.items():
            slopes += self.tangents.pull(name, gradient.detach())
            hessian += self.tangents.rule_curvature(name, gradient.detach())
        if any(gradient.requires_grad for gradient in gradients.values()):
            for i in range(n):
                self.column[:] = 0
                backward_along(self.tangents, gradients, np.eye(n)[i], is_last=False)
                hessian[i] += self.column
        return Derivatives(slopes, (hessian + hessian.T) / 2)
