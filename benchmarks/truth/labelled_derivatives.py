"""What a labelled bed's base tells: similarity of domains, and derivatives along task vectors.

Notation:
    g_m, H_m: gradient and Hessian at the base of the loss on test set m.  δᵢ: task vector of
    expert i.

Method:
    ⟨g_m, δᵢ⟩ and δᵢᵀH_mδⱼ as the product's diagnosis has them of language models
    (`mixwise.diagnostics.interference`): a product of the Hessian by a vector is the gradient of
    the gradient's part along it. Similarity is the cosine between mean features, those that the
    base's head reads, of test rows and of training rows, less the mean features of all domains.

Source:
    Pearlmutter 1994 for the products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from benchmarks.truth.labelled_models import Rows
from benchmarks.truth.labelled_table import AtBase
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from mixwise.diagnostics.interference import Interactions

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mixwise.arrays import Array
    from mixwise.merging.pool import ExpertPool
    from mixwise.models.live_model import LiveModel

Vector = dict[str, "Tensor"]


def measure_at_base(
    live: LiveModel,
    pools: Mapping[int, ExpertPool],
    train: Mapping[str, Rows],
    test: Mapping[str, Rows],
) -> AtBase:
    """Measure all of it.

    Args:
        live: The live network; holds the base afterwards.
        pools: The experts by their steps.
        train: Training rows by domain.
        test: Test rows by domain.
    """
    live.write_checkpoint(live.base)
    base = {name: tensor.detach().clone() for name, tensor in live.module.named_parameters()}
    similarities = _similarities(live, train, test)
    size = float(_dot(base, base)) ** 0.5
    sizes, found = {}, {}
    for steps, pool in pools.items():
        deltas = [
            {name: checkpoint.load_tensor(name) - base[name].detach() for name in base}
            for checkpoint in pool.experts.values()
        ]
        sizes[steps] = tuple(float(_dot(delta, delta)) ** 0.5 / size for delta in deltas)
        found[steps] = interactions(live.module, base, deltas, test)
    return AtBase(similarities, sizes, found)


@torch.no_grad()
def _similarities(live: LiveModel, train: Mapping[str, Rows], test: Mapping[str, Rows]) -> Array:
    sides = [
        torch.stack([live.module.embed(rows.inputs).mean(dim=0) for rows in side.values()])
        for side in (test, train)
    ]
    centred = [side - sides[1].mean(dim=0) for side in sides]
    units = [side / side.norm(dim=1, keepdim=True) for side in centred]
    return (units[0] @ units[1].T).double().numpy()


def interactions(
    module: nn.Module, base: Vector, deltas: Sequence[Vector], test: Mapping[str, Rows]
) -> Interactions:
    """Derivatives of the losses on test sets along task vectors.

    Args:
        module: The network; its own tensors are left alone.
        base: Where derivatives are taken.
        deltas: Task vectors, one a domain, in the order of the test sets.
        test: Test rows by domain.
    """
    n = len(deltas)
    slopes, norms = np.zeros((len(test), n)), np.zeros((len(test), n))
    curvatures = np.zeros((len(test), n, n))
    free = {name: tensor.requires_grad_() for name, tensor in base.items()}
    for m, rows in enumerate(test.values()):
        loss = cross_entropy(functional_call(module, free, (rows.inputs,)), rows.labels)
        gradient = _gradient(loss, free, create_graph=True)
        for j, delta in enumerate(deltas):
            slope = _dot(gradient, delta)
            product = _gradient(slope, free)
            slopes[m, j] = float(slope.detach())
            curvatures[m, :, j] = [float(_dot(product, other)) for other in deltas]
            norms[m, j] = float((_dot(product, product) / _dot(delta, delta)) ** 0.5)
    names = tuple(test)
    metrics = tuple(f"{name}/loss" for name in names)
    n_rows = sum(len(rows) for rows in test.values())
    return Interactions(names, metrics, slopes, curvatures, norms, n_rows)


def _gradient(value: Tensor, free: Vector, *, create_graph: bool = False) -> Vector:
    found = torch.autograd.grad(
        value,
        list(free.values()),
        retain_graph=True,
        create_graph=create_graph,
        materialize_grads=True,
    )
    return dict(zip(free, found, strict=True))


def _dot(left: Vector, right: Vector) -> Tensor:
    return sum((left[name].double() * right[name].double()).sum() for name in left)
