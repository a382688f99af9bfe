"""Merges of a labelled bed's classifiers, with the right answers and losses of every test row.

Notation:
    θ(λ) = θ₀ + Σ λᵢ δᵢ with the task vectors δᵢ of experts of T steps.  e: a test row.

Method:
    A merge is evaluated once, on all test rows, and kept; a scorer then plays back the rows that it
    is made for. The loss of the right label has slopes, dL/dλᵢ = ⟨∇L, δᵢ⟩; accuracy has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.truth.subsets_bed import Material
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from mixwise.arrays import Array
from mixwise.kinds import LABEL_ACCURACY, LABEL_LOSS
from mixwise.mixture import Mixture
from mixwise.objective import Metric
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.scorer import VALUES, Part, Request

_SEED = 0  # of the experts
SLOPES_COST = 3  # forward passes that values with slopes are worth
Indices = Mapping[str, npt.NDArray[np.int64]]


@dataclass(slots=True, eq=False)
class Merges:
    """Experts of a bed, and what their merges answer.

    Args:
        material: Base, experts' training rows, test rows.
        base: θ₀.
        deltas: δᵢ in the order of the domains.
        known: Right answers (0 or 1) and losses of all rows by set, of mixtures seen before.
    """

    material: Material
    base: dict[str, Tensor]
    deltas: list[dict[str, Tensor]]
    known: dict[str, dict[str, tuple[Array, Array]]] = field(default_factory=dict)

    @classmethod
    def of(cls, bed: str, scratch: Path, steps: int) -> Merges:
        """Train base and experts of a bed."""
        material = Material.of(bed, scratch)
        base = {k: v.detach().clone() for k, v in material.base.named_parameters()}
        deltas = []
        for name in material.domains:
            single = Mixture.single(material.domains, name)
            [expert] = material.run(single, _SEED, (steps,))
            found = dict(expert.named_parameters())
            deltas.append({k: found[k].detach() - base[k] for k in base})
        return cls(material, base, deltas)

    @torch.no_grad()
    def answers(self, mixture: Mixture | None) -> dict[str, tuple[Array, Array]]:
        """Right answers and losses, ``(n_rows,)`` each, by test set; None for the base."""
        key = str(mixture)
        if key not in self.known:
            shares = torch.zeros(len(self.deltas)) if mixture is None else _tensor(mixture)
            tensors, found = self._merged(shares), {}
            for name, rows in self.material.test.items():
                logits = functional_call(self.material.base, tensors, (rows.inputs,))
                losses = cross_entropy(logits, rows.labels, reduction="none")
                right = (logits.argmax(dim=1) == rows.labels).double()
                found[name] = (right.numpy(), losses.double().numpy())
            self.known[key] = found
        return self.known[key]

    def slopes(self, mixture: Mixture, rows: Indices) -> dict[str, Array]:
        """Of the mean loss of some rows in the shares, ``(n_domains,)``, by test set."""
        found = {}
        for name, chosen in rows.items():
            shares = _tensor(mixture).requires_grad_()
            some = self.material.test[name].take(chosen.tolist())
            logits = functional_call(self.material.base, self._merged(shares), (some.inputs,))
            [slope] = torch.autograd.grad(cross_entropy(logits, some.labels), [shares])
            found[name] = slope.double().numpy()
        return found

    def _merged(self, shares: Tensor) -> dict[str, Tensor]:
        return {
            name: tensor
            + sum(s * delta[name] for s, delta in zip(shares, self.deltas, strict=True))
            for name, tensor in self.base.items()
        }


def _tensor(mixture: Mixture) -> Tensor:
    return torch.tensor(mixture.shares, dtype=torch.float32)


@dataclass(slots=True, eq=False)
class RowsScorer:
    """A scorer that answers on some of the test rows and counts forward passes over them.

    Args:
        merges: Who answers.
        rows: Of each test set.
        has_slopes: Whether the loss is differentiated where that is asked for.
        spent: Passes over all of the rows, one entry a mixture in the order of asking.
    """

    merges: Merges
    rows: Indices
    has_slopes: bool = True
    spent: list[float] = field(default_factory=list)

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        """Accuracy and loss of each set on the part's rows."""
        return tuple(self._observe(mixture, request) for mixture in mixtures)

    def _observe(self, mixture: Mixture, request: Request) -> Observation:
        answers, part = self.merges.answers(mixture), request.part
        is_steep = self.has_slopes and request.order > 0
        slopes = self.merges.slopes(mixture, self.rows) if is_steep else {}
        measured = []
        for name, chosen in self.rows.items():
            seen = chosen[part.examples(len(chosen))]
            right, losses = (values[seen] for values in answers[name])
            ones = np.ones(len(seen))
            derivatives = Derivatives(slopes[name]) if is_steep else None
            measured += [
                Measurement(Metric.of(name, LABEL_ACCURACY).name, right, ones),
                Measurement(Metric.of(name, LABEL_LOSS).name, losses, ones, derivatives),
            ]
        self.spent.append(_share(part) * (SLOPES_COST if is_steep else 1))
        return Observation(mixture, "proxy", "linear", (), tuple(measured), 0.0, 0, 0, str(mixture))


def _share(part: Part) -> float:
    return (part.last - part.first) / part.of
