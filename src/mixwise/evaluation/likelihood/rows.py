"""Sequences of tokens, the batches that are made of them, and what a model thinks of each.

Notation:
    B: rows of a batch.  L: its longest row.  V: vocabulary.
    A row predicts its scored tokens, each from all those before.

Method:
    Rows of similar length stand in one batch, padded at the end; rows of one length need no padding
    and no mask. Only positions that are scored go through the head, where the architecture allows
    it: a choice of three tokens after a prompt of five hundred costs 3·V logits and not 503·V.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from mixwise.data.pixels import PixelTable
from mixwise.releases import cache_name, takes_masks, why_all_positions

if TYPE_CHECKING:
    from torch import Tensor

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LOSS_POSITIONS = 1024  # more save no time, fewer keep the loss from doubling the logits' memory


@dataclass(frozen=True, slots=True)
class Label:
    """A label whose likelihood a row asks for.

    Args:
        example: Which example is labelled; rows that ask of one example have the same ids.
        index: Index of the label among the model's outputs.
        among: The outputs that share one probability, of the head that the set is read with; None
            for all.
    """

    example: int
    index: int
    among: range | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AskedLabels:
    """Which labels a batch of examples is asked for.

    Args:
        examples: Example of the batch that each row asks of, shape ``(n_rows,)``.
        labels: The label that it asks for, shape ``(n_rows,)``, counted from the first of `among`.
        among: The outputs that share one probability; None for all.
    """

    examples: Tensor
    labels: Tensor
    among: range | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One sequence.

    Args:
        ids: Its tokens, shape ``(L,)``; of an image, its place among `pixels`.
        scored: Which of them are predicted and count, shape ``(L,)``; at least one, never the
            first, which nothing predicts. Of a row that asks for a label, one entry that is true.
        label: Which label of which example is asked for; None where tokens are predicted.
        pixels: The images of the row's set; None of a text.
    """

    ids: Indices
    scored: Mask
    label: Label | None = None
    pixels: PixelTable | None = None

    @classmethod
    def ending_in(cls, ids: Indices, n_scored: int) -> Row:
        """A row whose last tokens count."""
        return cls(ids, np.arange(len(ids)) >= len(ids) - n_scored)

    @property
    def n_scored(self) -> int:
        """Tokens that count."""
        return int(np.count_nonzero(self.scored))

    def after(self, n: int) -> Row:
        """What is left of the row when its first n tokens are read already."""
        return Row(self.ids[n:], self.scored[n:])


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows that pass through the model together, on its device.

    Args:
        ids: Tokens, padded at the end, shape ``(B, L)``.
        attention_mask: 1 where a token is real, shape ``(B, L)``; None where nothing is padded.
        scored: Whether token l + 1 is predicted and counts, shape ``(B, L - 1)``.
        rows: Which row of the set each is, shape ``(B,)``.
        asked: Labels that are asked for, where rows ask for labels; then each example stands once
            in the batch, whatever is asked of it, and `rows` and `scored` have ``n_rows`` entries.
        pixels: The images that `ids` are places of, read when the batch is; None of texts.
    """

    ids: Tensor
    attention_mask: Tensor | None
    scored: Tensor
    rows: Indices
    asked: AskedLabels | None = None
    pixels: PixelTable | None = None

    @property
    def n_tokens(self) -> int:
        """Tokens, padding left out; examples, where labels are asked for."""
        if self.asked is not None:
            return len(self.ids)
        return self.ids.numel() if self.attention_mask is None else int(self.attention_mask.sum())


def make_batches(
    rows: Sequence[Row],
    batch_sequences: int,
    device: torch.device | str,
    chosen: Indices | None = None,
    *,
    apart: Sequence[int] = (),
) -> tuple[Batch, ...]:
    """Put rows of similar length into batches.

    Args:
        rows: Rows of a set.
        batch_sequences: Rows per batch.
        device: Where the tensors go.
        chosen: Indices of the rows that are wanted; None for all.
        apart: Lengths that no batch spans: rows up to one stand apart from longer ones.

    Returns:
        Batches that hold every wanted row once, short rows first.
    """
    wanted = np.arange(len(rows)) if chosen is None else chosen
    if rows[0].label is not None:
        return _label_batches(rows, batch_sequences, device, wanted)
    lengths = np.array([len(rows[i].ids) for i in wanted], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    cuts = np.searchsorted(lengths[order], np.sort(np.asarray(apart, dtype=np.int64)), side="right")
    return tuple(
        stack_rows(rows, group[k : k + batch_sequences], device)
        for group in np.split(wanted[order], cuts)
        for k in range(0, len(group), batch_sequences)
    )


def stack_rows(rows: Sequence[Row], chosen: Indices, device: torch.device | str) -> Batch:
    """Make one batch of the chosen rows."""
    lengths = np.array([len(rows[i].ids) for i in chosen])
    longest = int(lengths.max())
    ids = np.zeros((len(chosen), longest), dtype=np.int64)
    scored = np.zeros((len(chosen), longest), dtype=bool)
    for k, i in enumerate(chosen):
        ids[k, : lengths[k]] = rows[i].ids
        scored[k, : lengths[k]] = rows[i].scored
    real = np.arange(longest) < lengths[:, None]
    with torch.inference_mode(False):  # kept for later, and gradients may be wanted then
        return Batch(
            ids=torch.from_numpy(ids).to(device),
            attention_mask=None if real.all() else torch.from_numpy(real.astype(int)).to(device),
            scored=torch.from_numpy(scored[:, 1:]).to(device),
            rows=np.asarray(chosen),
        )


def _label_batches(
    rows: Sequence[Row], batch_sequences: int, device: torch.device | str, wanted: Indices
) -> tuple[Batch, ...]:
    """Put rows that ask for labels into batches of so many examples, each read once."""
    by_example: dict[int, list[int]] = {}
    for i in wanted.tolist():
        by_example.setdefault(_label(rows[i]).example, []).append(i)
    groups = sorted(by_example.values(), key=lambda group: len(rows[group[0]].ids))
    return tuple(
        _stack_examples(rows, groups[k : k + batch_sequences], device)
        for k in range(0, len(groups), batch_sequences)
    )


def _stack_examples(
    rows: Sequence[Row], groups: Sequence[list[int]], device: torch.device | str
) -> Batch:
    """Make one batch of examples; a group holds the rows that ask of one."""
    stacked = stack_rows(rows, np.array([group[0] for group in groups]), device)
    asking = np.concatenate([np.array(group) for group in groups])
    examples = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    among = _label(rows[groups[0][0]]).among  # a set is read with one head
    labels = np.array([_label(rows[i]).index for i in asking]) - (among.start if among else 0)
    with torch.inference_mode(False):
        asked = AskedLabels(
            torch.from_numpy(examples).to(device), torch.from_numpy(labels).to(device), among
        )
        scored = torch.ones((len(asking), 1), dtype=torch.bool, device=device)
    pixels = rows[groups[0][0]].pixels
    return replace(stacked, scored=scored, rows=asking, asked=asked, pixels=pixels)


def _label(row: Row) -> Label:
    assert row.label is not None  # all rows of a set ask for labels, or none does
    return row.label


def label_nats(model: Any, batch: Batch) -> Tensor:
    """Negative log-likelihood of every label that is asked for, shape ``(n_rows,)``, in nats.

    Args:
        model: Classifier in evaluation mode.
        batch: Examples and what is asked of them, on the model's device.
    """
    assert batch.asked is not None  # whoever calls has looked
    if batch.pixels is None:
        logits = model(input_ids=batch.ids, attention_mask=batch.attention_mask).logits
    else:
        pixels = torch.from_numpy(batch.pixels.read(batch.ids[:, 0].cpu().numpy()))
        dtype = next(model.parameters()).dtype
        logits = model(pixel_values=pixels.to(batch.ids.device, dtype)).logits
    among = batch.asked.among
    if among is not None:
        logits = logits[:, among.start : among.stop]
    likelihoods = torch.log_softmax(logits.float(), dim=-1)
    return -likelihoods[batch.asked.examples, batch.asked.labels]


def batch_nats(model: Callable[..., Any], batch: Batch, cache: Any = None) -> Tensor:
    """Summed negative log-likelihood of the scored tokens of each row.

    Args:
        model: Causal language model in evaluation mode, or a function with its arguments.
        batch: The rows, on the model's device.
        cache: Keys and values of the tokens that stand before the batch's, where there are any.

    Returns:
        Shape ``(B,)``, in nats, float64 sums of float32 losses; differentiable.
    """
    losses = token_nats(model, batch, cache).double()
    if batch.asked is not None:
        return losses
    empty = torch.zeros(batch.scored.shape, dtype=losses.dtype, device=losses.device)
    return empty.masked_scatter(batch.scored, losses).sum(dim=1)


def token_nats(model: Callable[..., Any], batch: Batch, cache: Any = None) -> Tensor:
    """Negative log-likelihood of every scored token, row after row, shape ``(n_scored,)``, nats.

    Args:
        model: Causal language model in evaluation mode, or a function with its arguments.
        batch: The rows, on the model's device.
        cache: Keys and values of the tokens that stand before the batch's, where there are any.
    """
    if batch.asked is not None:
        return label_nats(model, batch)
    logits = scored_logits(model, batch, cache)
    targets = batch.ids[:, 1:][batch.scored]
    parts = [
        torch.nn.functional.cross_entropy(
            logits[start : start + _LOSS_POSITIONS].float(),
            targets[start : start + _LOSS_POSITIONS],
            reduction="none",
        )
        for start in range(0, len(targets), _LOSS_POSITIONS)
    ]
    return torch.cat(parts)


def scored_logits(model: Callable[..., Any], batch: Batch, cache: Any = None) -> Tensor:
    """Logits that predict the scored tokens, row after row, shape ``(n_scored, V)``.

    Args:
        model: Causal language model in evaluation mode, or a function with its arguments.
        batch: The rows, on the model's device.
        cache: Keys and values of the tokens that stand before the batch's, where there are any.
    """
    predicts = torch.nn.functional.pad(batch.scored, (0, 1))
    read = functools.partial(
        model, input_ids=batch.ids, attention_mask=batch.attention_mask, use_cache=False
    )
    if cache is not None:
        name = cache_name(model)
        assert name is not None, "a cache is made only for a model that takes one"
        read = functools.partial(read, **{name: cache}, use_cache=True)
    if why_all_positions(model) is not None:
        return read().logits[predicts]
    if takes_masks():
        return read(logits_to_keep=predicts).logits
    anywhere = predicts.any(dim=0).nonzero().squeeze(1)
    return read(logits_to_keep=anywhere).logits[predicts[:, anywhere]]
