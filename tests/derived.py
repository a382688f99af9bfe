"""Merges of tiny experts, and their likelihoods as a plain function of the shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tests.tiny_models import VOCABULARY, double_live, save_adapter, save_base, save_full_expert
from torch import Tensor

from mixwise.data.heldout import HeldoutRows
from mixwise.evaluation.likelihood.choice import ChoiceSet, TokenisedChoice
from mixwise.evaluation.likelihood.rows import Batch, Row, make_batches
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR, LinearRule, MergeRule, TensorRule
from mixwise.mixture import Mixture

DOMAINS = ("a", "b", "c")
MIXTURE = Mixture(DOMAINS, (0.2, 0.3, 0.5))


def bent_weights(shares: Tensor) -> Tensor:
    """Merge weights that depend on all shares."""
    return shares**2 * shares.sum() + 0.3 * shares


def bent_sum(name: str, deltas: Sequence[Tensor], shares: Tensor) -> Tensor:
    """A combination that is no weighted sum: task vectors meet element by element."""
    total = sum(share * delta for share, delta in zip(shares, deltas, strict=True))
    return total + 3 * shares[0] * shares[1] ** 2 * deltas[0] * deltas[1]


def plain_sum(name: str, deltas: Sequence[Tensor], shares: Tensor) -> Tensor:
    """The linear rule, written as a combination."""
    return sum((s * d for s, d in zip(shares, deltas, strict=True)), torch.zeros_like(deltas[0]))


BENT_WEIGHTS = LinearRule("bent weights", "made up", coefficients=bent_weights)
BENT_SUM = TensorRule("bent sum", "made up", combine=bent_sum)
PLAIN_SUM = TensorRule("plain sum", "made up", combine=plain_sum)
EVERY_RULE = (LINEAR, BENT_WEIGHTS, BENT_SUM, PLAIN_SUM)


def make_pool(kind: str, folder: Path, *, is_lora: bool) -> ExpertPool:
    """Three experts of one kind, over a live model in float64."""
    base = save_base(kind, folder / "base")
    save = save_adapter if is_lora else save_full_expert
    experts = {name: save(base, folder / name, k) for k, name in enumerate(DOMAINS)}
    return ExpertPool(double_live(base), experts)


def make_suite() -> EvaluationSuite:
    """Two text sets and a quiz whose rows have different lengths, in batches of 2."""
    rng = np.random.default_rng(0)
    texts = [
        TextSet(
            name,
            HeldoutRows(rng.integers(VOCABULARY, size=(n, 9)), rng.integers(1, 5, (n, 9))),
        )
        for name, n in (("news", 3), ("code", 2))
    ]
    questions = tuple(
        tuple(
            TokenisedChoice(tuple(rng.integers(VOCABULARY, size=4 + k + c)), 1 + c, 2 + c)
            for c in range(3)
        )
        for k in range(3)
    )
    return EvaluationSuite((*texts, ChoiceSet("quiz", questions, (1, 0, 2))), batch_sequences=2)


def padded_batch() -> Batch:
    """Rows of different lengths, which hold the padding token among their own."""
    rng = np.random.default_rng(1)
    rows = [Row.ending_in(rng.integers(VOCABULARY, size=n), n - 2) for n in (5, 8, 11)]
    rows[1].ids[2:4] = 0
    return make_batches(rows, 4, "cpu")[0]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """nats(λ) of each row of a batch by the slow, obvious path, in float64.

    The merge is computed for the whole model at once, the loss is written out, and nothing is
    shared with what is tested but the model's own forward.
    """

    pool: ExpertPool
    rule: MergeRule
    batch: Batch

    def __call__(self, shares: Tensor) -> Tensor:
        tensors = {name: self._merged(name, shares) for name in self.pool.live.tensors}
        logits = torch.func.functional_call(
            self.pool.live.module,
            tensors,
            kwargs={"input_ids": self.batch.ids, "attention_mask": self.batch.attention_mask},
        ).logits
        nats = logits.log_softmax(dim=-1)[:, :-1].gather(2, self.batch.ids[:, 1:, None])[..., 0]
        return -(nats * self.batch.scored).sum(dim=1)

    def _merged(self, name: str, shares: Tensor) -> Tensor:
        base = self.pool.base_tensor(name).double()
        vectors = [self.pool.task_vectors[domain] for domain in DOMAINS]
        deltas = [v.load(name).double() if name in v else torch.zeros_like(base) for v in vectors]
        if isinstance(self.rule, TensorRule):
            return base + self.rule.combine("any", deltas, shares)
        merge_weights = self.rule.coefficients(shares)
        return base + sum(w * d for w, d in zip(merge_weights, deltas, strict=True))


def central_difference(
    function: Callable[[Tensor], Tensor], at: Sequence[float], step: float
) -> np.ndarray:
    """df/dλᵢ to fourth order in the step; λ's axis comes last."""
    point = torch.tensor(at, dtype=torch.float64)

    def along(i: int, distance: float) -> np.ndarray:
        moved = point.clone()
        moved[i] += distance
        with torch.no_grad():
            return function(moved).numpy()

    columns = [
        (8 * (along(i, step) - along(i, -step)) - (along(i, 2 * step) - along(i, -2 * step)))
        / (12 * step)
        for i in range(len(point))
    ]
    return np.stack(columns, axis=-1)
