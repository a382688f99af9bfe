"""Prompts that several choices share, read once.

Notation:
    Q: questions of a group.  P: tokens that every choice of each of them shares with its siblings.

Method:
    Questions with prompts of similar length form a group. Their first P tokens, as many as the
    shortest of these prompts has, pass through the model once per question and leave keys and
    values; these are repeated for the choices, and each choice brings only what comes after. The
    last token before the first scored one always stands with the choice, so that all predictions
    come from one pass. A group is made only where it saves positions, padding counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mixwise.evaluation.likelihood.rows import (
    Batch,
    Indices,
    Row,
    batch_nats,
    make_batches,
    stack_rows,
)
from mixwise.releases import cache_name, why_all_positions, why_no_cache

if TYPE_CHECKING:
    from torch import Tensor


_FIXED_ROTATIONS = ("default", "linear", "llama3", "yarn", "proportional")
_TRIAL_TOKENS = 24
_ATTENTION_LAYERS = frozenset({"full_attention", "sliding_attention"})


@dataclass(frozen=True, slots=True, eq=False)
class SharedBatch:
    """Prompts, and the choices that go on from them, on the model's device.

    Args:
        prefixes: First P tokens of each question, shape ``(Q, P)``.
        question_of: Which prompt each choice goes on from, shape ``(B,)``.
        rest: What is left of the choices; its mask, where there is one, covers the prompt too.
    """

    prefixes: Tensor
    question_of: Tensor
    rest: Batch

    @property
    def n_tokens(self) -> int:
        """Tokens that are read, padding left out."""
        repeated = 0 if self.rest.attention_mask is None else self.prefixes.shape[1]
        return self.prefixes.numel() + self.rest.n_tokens - repeated * len(self.rest.rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """Rows of one question, and how many tokens can be read for all of them at once."""

    rows: Indices
    n_shared: int


def share_prefixes(
    rows: Sequence[Row], row_examples: Indices, batch_sequences: int, device: torch.device | str
) -> tuple[SharedBatch, ...]:
    """Find the rows whose prompts are worth sharing.

    Args:
        rows: Rows of a set.
        row_examples: Question of each, shape ``(n_rows,)``.
        batch_sequences: Rows per batch; a question with more choices stands alone.
        device: Where the tensors go.

    Returns:
        Batches that hold a row at most once; rows that gain nothing are in none.
    """
    questions = [
        _question(rows, np.flatnonzero(row_examples == example))
        for example in np.unique(row_examples)
    ]
    questions = sorted((q for q in questions if q.n_shared), key=lambda q: q.n_shared)
    groups: list[list[_Question]] = []
    n_rows = batch_sequences
    for question in questions:
        n_rows += len(question.rows)
        if n_rows > batch_sequences:
            groups.append([])
            n_rows = len(question.rows)
        groups[-1].append(question)
    return tuple(_share(rows, group, device) for group in groups if _saves(rows, group))


def _question(rows: Sequence[Row], chosen: Indices) -> _Question:
    if len(chosen) == 1:
        return _Question(chosen, 0)
    limit = min(int(rows[i].scored.argmax()) - 1 for i in chosen)
    starts = np.stack([rows[i].ids[:limit] for i in chosen])
    differs = np.flatnonzero((starts != starts[0]).any(axis=0))
    return _Question(chosen, int(differs[0]) if len(differs) else limit)


def _saves(rows: Sequence[Row], group: Sequence[_Question]) -> bool:
    """Whether sharing, with its padding, takes fewer positions than whole rows without any."""
    n_shared = group[0].n_shared
    lengths = [len(rows[i].ids) for question in group for i in question.rows]
    return len(group) * n_shared + len(lengths) * (max(lengths) - n_shared) < sum(lengths)


def _share(
    rows: Sequence[Row], group: Sequence[_Question], device: torch.device | str
) -> SharedBatch:
    n_shared = group[0].n_shared  # the shortest: groups are sorted
    chosen = np.concatenate([question.rows for question in group])
    question_of = np.repeat(np.arange(len(group)), [len(q.rows) for q in group])
    prefixes = np.stack([rows[question.rows[0]].ids[:n_shared] for question in group])
    rests = [rows[i].after(n_shared) for i in chosen]
    batch = stack_rows(rests, np.arange(len(rests)), device)
    mask = batch.attention_mask
    if mask is not None:
        mask = torch.nn.functional.pad(mask, (n_shared, 0), value=1)
    return SharedBatch(
        prefixes=torch.from_numpy(prefixes).to(device),
        question_of=torch.from_numpy(question_of).to(device),
        rest=dataclasses.replace(batch, attention_mask=mask, rows=chosen),
    )


def shared_nats(model: Any, shared: SharedBatch) -> Tensor:
    """Summed negative log-likelihood of the scored tokens of each choice.

    Args:
        model: Causal language model in evaluation mode, one that is not `why_unshared`.
        shared: The prompts and choices.

    Returns:
        Shape ``(B,)``, in nats.
    """
    from transformers import DynamicCache

    name = cache_name(model)
    assert name is not None, "only a model that can share prefixes is given some"
    cache = DynamicCache(config=model.config)
    model(input_ids=shared.prefixes, **{name: cache}, use_cache=True, logits_to_keep=1)
    cache.batch_select_indices(shared.question_of)
    return batch_nats(model, shared.rest, cache)


def why_unshared(model: Any) -> str | None:
    """Why keys and values of a prompt cannot be repeated for several continuations; None if so.

    They can in decoders of transformers whose layers attend to all or to a window of the past; not
    where a layer keeps a running state, attends within fixed chunks, or turns its positions by
    angles that depend on the length of the text. What passes these rules is also tried once.

    Args:
        model: Causal language model in evaluation mode, with the tensors of any checkpoint.
    """
    return _why_by_structure(model) or _why_by_trial(model)


def _why_by_structure(model: Any) -> str | None:
    reason = why_all_positions(model) or why_no_cache(model)
    if reason is not None:
        return reason
    if model._is_stateful:
        return f"{type(model).__name__} keeps a running state"
    config = model.config.get_text_config(decoder=True)
    if getattr(config, "attention_chunk_size", None) is not None:
        return f"{type(model).__name__} attends within fixed chunks"
    changing = sorted(set(_rotations(config)) - set(_FIXED_ROTATIONS))
    if changing:
        return f"the positions of {type(model).__name__} turn by the rule `{changing[0]}`"
    layers = sorted(_layer_kinds(model.config, config))
    if layers:
        return f"{type(model).__name__} has layers of the kind `{layers[0]}`"
    return None


def _why_by_trial(model: Any) -> str | None:
    """Compare one question, its prompt read once, with the same question read choice by choice."""
    n_known = model.config.get_text_config().vocab_size
    prompt, choices = 1 + np.arange(_TRIAL_TOKENS) % (n_known - 1), ([1], [2, 1])
    rows = [Row.ending_in(np.append(prompt, choice), len(choice)) for choice in choices]
    parameter = next(model.parameters())
    device, tolerance = parameter.device, torch.finfo(parameter.dtype).eps ** 0.5
    [shared] = share_prefixes(rows, np.zeros(2, dtype=np.int64), 2, device)
    [whole] = make_batches(rows, 2, device)  # in the order of their lengths, as both are here
    with torch.no_grad():
        once, anew = shared_nats(model, shared).cpu(), batch_nats(model, whole).cpu()
    if torch.allclose(once, anew, rtol=tolerance, atol=tolerance, equal_nan=True):
        return None
    return (
        f"{type(model).__name__} answers a prompt that was read apart with {float(once[0]):.4g} "
        f"nats, and with {float(anew[0]):.4g} when it is read whole"
    )


def _layer_kinds(config: Any, text_config: Any) -> set[str]:
    """Kinds of layers that keep something else than the keys and values of a window or of all.

    A release of transformers may give a kind that it does not know a plain cache, so what the
    configuration calls its layers counts too.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    kinds = {type(layer) for layer in DynamicCache(config=config).layers}
    named = {str(kind) for kind in getattr(text_config, "layer_types", None) or ()}
    return (named - _ATTENTION_LAYERS) | {
        kind.__name__ for kind in kinds - {DynamicLayer, DynamicSlidingWindowLayer}
    }


def _rotations(config: Any) -> list[str]:
    """Kinds of rotary angles in a model, one or one per kind of layer."""
    parameters = getattr(config, "rope_parameters", None) or {}
    nested = [part for part in parameters.values() if isinstance(part, dict)]
    return [part.get("rope_type", "default") for part in (nested or [parameters])]
