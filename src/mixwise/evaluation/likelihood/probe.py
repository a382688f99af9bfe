"""Whether a model is one whose likelihoods mean something: tried out on real rows.

Notation:
    L: tokens of a row.  k: the first token that is changed.

Method:
    Finite: the smallest and the largest number of every tensor, and the likelihoods of real rows.
    Context: the longest row is read; where that fails, bisection finds the longest that can be.
    Causal: all tokens from k on are replaced by others of the row, for k at the start, in the
    middle and at the end. Predictions from tokens before k must stay as they were: the largest move
    must be within rounding (16 ε of the largest loss), or below 1/10,000 of the largest move behind
    k. In decoders it is exactly zero, or rounding where tokens are sorted by expert; in encoders,
    even in untrained ones, it is at least 7/10,000, in trained ones of the order of 1.
    Batches: rows alone against the same rows among others, as an evaluation reads them. They may
    differ by 0.001 nats per token, a tenth of the least that tells mixtures apart and a hundred
    times what padding does to float32.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from mixwise.errors import first_line
from mixwise.evaluation.likelihood.prefixes import shared_nats
from mixwise.evaluation.likelihood.rows import (
    Indices,
    Row,
    batch_nats,
    stack_rows,
)
from mixwise.evaluation.likelihood.sets import LikelihoodSet
from mixwise.evaluation.suite import PreparedSuite

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE_NATS = 1e-3  # per token, between a row alone and the same row in a batch
_ROUNDING = 16  # in units of the dtype's ε
_LEAST_LEAK = 1e-4  # of the effect on the positions that may change
_PIECE = 1024  # positions whose loss is taken together


@dataclass(frozen=True, slots=True)
class Leak:
    """A later token that changes an earlier prediction.

    Args:
        changed: First token that was changed, counted from 1.
        moved: The earlier token whose prediction of the next moved most, counted from 1.
        nats: By how much.
    """

    changed: int
    moved: int
    nats: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A row whose likelihood depends on what stands in its batch.

    Args:
        n_tokens: Tokens of the row.
        alone: Its loss alone, in nats per scored token.
        batched: Its loss in the batch.
        n_rows: Rows of the batch.
        longest: Tokens of its longest row.
        after_shared_prompt: Whether the batch went on from prompts that were read once.
    """

    n_tokens: int
    alone: float
    batched: float
    n_rows: int
    longest: int
    after_shared_prompt: bool


def find_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of the first tensor that holds NaN or an infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel():
            least, most = torch.aminmax(tensor.detach())
            if not (torch.isfinite(least) and torch.isfinite(most)):
                return name
    return None


def find_not_finite_numbers(values: Any, path: str = "") -> tuple[str, ...]:
    """Paths of the numbers of a nested configuration that are NaN or infinite, NaN first.

    Example:
        >>> find_not_finite_numbers({"rope": {"theta": float("nan")}, "eps": 1e-6})
        ('rope.theta = nan',)
    """
    if isinstance(values, float) and not np.isfinite(values):
        return (f"{path} = {values}",)
    inside: Iterable[tuple[object, Any]] = ()
    if isinstance(values, Mapping):
        inside = values.items()
    elif isinstance(values, list | tuple):
        inside = enumerate(values)
    found = [
        line
        for key, value in inside
        for line in find_not_finite_numbers(value, f"{path}.{key}" if path else str(key))
    ]
    return tuple(sorted(found, key=lambda line: not line.endswith("nan")))


def reading_failure(model: Any, ids: Indices) -> str | None:
    """Why a model cannot read a row, or None where all its predictions are finite.

    Args:
        model: Causal language model in evaluation mode.
        ids: The row, shape ``(L,)``, L ≥ 2.
    """
    try:
        with _InRange():
            losses = token_losses(model, ids, ids)
    except (RuntimeError, IndexError, ValueError, TypeError, AssertionError) as error:
        if is_lack_of_memory(error):
            raise
        return first_line(error)
    return None if torch.isfinite(losses).all() else "predictions that are not finite"


def is_lack_of_memory(error: Exception) -> bool:
    """Whether an error says nothing of the model, but that memory has run out."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def longest_read(model: Any, ids: Indices) -> int:
    """Tokens of the longest start of a row that a model can read; 0 if it cannot read two.

    Args:
        model: Causal language model in evaluation mode.
        ids: A row that it cannot read, shape ``(L,)``.
    """
    works, fails = 0, len(ids)
    if fails <= 2 or reading_failure(model, ids[:2]) is not None:
        return works
    works = 2
    while fails - works > 1:
        middle = (works + fails) // 2
        if reading_failure(model, ids[:middle]) is None:
            works = middle
        else:
            fails = middle
    return works


def find_leak(model: Any, ids: Indices) -> Leak | None:
    """The largest move of a prediction by later tokens, or None where there is none.

    Args:
        model: Causal language model in evaluation mode.
        ids: A real row that it can read, shape ``(L,)``, L ≥ 2.
    """
    targets = np.roll(ids, -1)
    before = token_losses(model, ids, targets)
    others = other_tokens(ids, model.get_input_embeddings().weight.shape[0])
    worst: Leak | None = None
    for k in sorted({1, len(ids) // 2, len(ids) - 1}):
        moves = (token_losses(model, np.concatenate([ids[:k], others[k:]]), targets) - before).abs()
        leak, effect = moves[:k].max(), moves[k:].max()
        if leak > least_leak(model, before, float(effect)) and (
            worst is None or float(leak) > worst.nats
        ):
            worst = Leak(k + 1, int(moves[:k].argmax()) + 1, float(leak))
    return worst


def least_leak(model: Any, losses: Tensor, effect: float) -> float:
    """The least move of a loss that is neither rounding nor next to nothing.

    Args:
        model: The model.
        losses: Of the row before it was changed.
        effect: The largest move where losses may change.
    """
    rounding = _ROUNDING * torch.finfo(_dtype(model)).eps * max(1.0, float(losses.abs().max()))
    return max(rounding, _LEAST_LEAK * effect)


def find_difference(
    model: Any, prepared: PreparedSuite, chosen: LikelihoodSet
) -> Difference | None:
    """The row of a set that differs most from itself in a batch; None within the tolerance.

    The batches are the evaluation's own: those with the shortest, the most unequal and the longest
    rows, whole or after a shared prompt; of each, the shortest and the longest row.

    Args:
        model: Causal language model in evaluation mode.
        prepared: The suite, prepared for it.
        chosen: A set of the suite.
    """
    rows = chosen.rows()
    reading = prepared.reading(chosen)
    lengths = np.array([len(row.ids) for row in rows])
    whole: list[_Pass] = [
        _Pass(batch.rows, functools.partial(batch_nats, model, batch), is_shared=False)
        for batch in reading.whole
    ]
    shared: list[_Pass] = [
        _Pass(group.rest.rows, functools.partial(shared_nats, model, group), is_shared=True)
        for group in reading.shared
    ]
    found = []
    for chosen_pass in [*_telling(whole, lengths), *_telling(shared, lengths)]:
        members = chosen_pass.rows
        with torch.inference_mode():
            together = chosen_pass.read()
            for place in {int(lengths[members].argmin()), int(lengths[members].argmax())}:
                row = rows[members[place]]
                found.append(
                    Difference(
                        n_tokens=len(row.ids),
                        alone=_nats_alone(model, row, prepared) / row.n_scored,
                        batched=float(together[place]) / row.n_scored,
                        n_rows=len(members),
                        longest=int(lengths[members].max()),
                        after_shared_prompt=chosen_pass.is_shared,
                    )
                )
    worst = max(found, key=size_of, default=None)
    return worst if worst is not None and size_of(worst) > TOLERANCE_NATS else None


def size_of(difference: Difference) -> float:
    """How much alone and batched differ; a value that is not finite differs from everything."""
    size = abs(difference.alone - difference.batched)
    return size if np.isfinite(size) else np.inf


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """Rows that are read together, and the function that reads them."""

    rows: Indices
    read: Callable[[], Tensor]
    is_shared: bool


def _telling(passes: Sequence[_Pass], lengths: Indices) -> list[_Pass]:
    """The batches of several rows that are shortest, longest and most unequal, each once."""
    several = [k for k, one in enumerate(passes) if len(one.rows) > 1]
    if not several:
        return []
    unequal = max(several, key=lambda k: np.ptp(lengths[passes[k].rows]))
    return [passes[k] for k in sorted({several[0], unequal, several[-1]})]


def _nats_alone(model: Any, row: Row, prepared: PreparedSuite) -> float:
    return float(batch_nats(model, stack_rows([row], np.arange(1), prepared.device))[0])


@torch.inference_mode()
def token_losses(
    model: Any, ids: Indices, targets: Indices, positions: Indices | None = None
) -> Tensor:
    """Negative log-likelihood of a target after each token of a row, shape ``(L,)``.

    Args:
        model: Causal language model in evaluation mode.
        ids: The row, shape ``(L,)``.
        targets: What should follow each of its tokens, shape ``(L,)``.
        positions: Of its tokens, shape ``(L,)``; None for the model's own.
    """
    device = next(model.parameters()).device
    given = {} if positions is None else {"position_ids": torch.from_numpy(positions[None])}
    logits = model(
        input_ids=torch.from_numpy(ids[None]).to(device),
        attention_mask=None,
        use_cache=False,
        **{key: value.to(device) for key, value in given.items()},
    ).logits[0]
    wanted = torch.from_numpy(targets).to(logits.device)
    parts = [
        torch.nn.functional.cross_entropy(
            logits[start : start + _PIECE].float(),
            wanted[start : start + _PIECE],
            reduction="none",
        )
        for start in range(0, len(ids), _PIECE)
    ]
    return torch.cat(parts).double().cpu()


def other_tokens(ids: Indices, n_rows: int) -> Indices:
    """For each token of a row another one, of the row too where it has several."""
    known = np.unique(ids)
    if len(known) == 1:
        return (ids + 1) % n_rows
    return known[(np.searchsorted(known, ids) + 1) % len(known)]


def _dtype(model: Any) -> torch.dtype:
    return next(p.dtype for p in model.parameters() if p.is_floating_point())


class _InRange(TorchFunctionMode):
    """Refuse a look-up beyond the end of a table: on a GPU it would end the whole process' work."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at the indices before the table does."""
        if func is torch.nn.functional.embedding:
            indices, table = args[0], args[1]
            if indices.numel() and int(indices.max()) >= table.shape[0]:
                raise IndexError(
                    f"position or token {int(indices.max())} in a table of {table.shape[0]} rows"
                )
        return func(*args, **(kwargs or {}))
