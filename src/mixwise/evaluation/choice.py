"""Multiple choice by log-likelihood.

Notation:
    ℓ_c: log-likelihood of choice c after the prompt, in nats.  B_c: its UTF-8 bytes.

Method:
    accuracy: argmax ℓ_c is the right choice;  accuracy_norm: argmax ℓ_c / B_c is;
    answer_bits_per_byte: −Σ ℓ_right / (ln 2 · Σ B_right).
    Prompt and choice are tokenised together; white space at the end of the prompt counts as part of
    the choice. A text longer than the model's context loses tokens at its beginning.

Source:
    The convention of EleutherAI's lm-evaluation-harness (``acc``, ``acc_norm``).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mixwise.data.corpus import Tokenizer
from mixwise.data.sources import ChoiceRow
from mixwise.errors import DataError
from mixwise.observation import Array, Measurement


@dataclass(frozen=True, slots=True)
class TokenisedChoice:
    """One choice after its prompt: ids, how many of the last ones belong to the choice, bytes."""

    ids: tuple[int, ...]
    n_scored: int
    n_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class ChoiceSet:
    """A named set of tokenised questions.

    Args:
        name: Name of the evaluation set.
        questions: Choices of each question; at least one question.
        answers: Index of the right choice of each, shape ``(n_questions,)``.
    """

    name: str
    questions: tuple[tuple[TokenisedChoice, ...], ...]
    answers: tuple[int, ...]

    @classmethod
    def tokenise(
        cls,
        name: str,
        rows: Iterable[ChoiceRow],
        tokenizer: Tokenizer,
        *,
        max_rows: int,
        context_tokens: int,
    ) -> ChoiceSet:
        """Tokenise questions.

        Args:
            name: Name of the evaluation set.
            rows: The questions; evenly spaced ones are taken when there are more than wanted.
            tokenizer: The base's.
            max_rows: At most so many questions.
            context_tokens: Longest input of the model.

        Raises:
            DataError: If there is no question.
        """
        every = list(rows)
        if not every:
            raise DataError(f"`{name}` holds no question: add rows with prompt, choices and answer")
        spaced = np.linspace(0, len(every) - 1, min(max_rows, len(every))).round().astype(int)
        chosen = [every[i] for i in np.unique(spaced)]
        questions = tuple(_tokenise(row, tokenizer, context_tokens) for row in chosen)
        return cls(name, questions, tuple(row.answer for row in chosen))

    @property
    def n_tokens(self) -> int:
        """Tokens that one evaluation reads."""
        return sum(len(choice.ids) for question in self.questions for choice in question)

    @property
    def fingerprint(self) -> str:
        """Hash of the questions and answers."""
        text = repr((self.name, self.questions, self.answers))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def measure(self, model: Any, batch_sequences: int) -> tuple[Measurement, ...]:
        """Measure ``accuracy``, ``accuracy_norm`` and ``answer_bits_per_byte`` of a model."""
        flat = [choice for question in self.questions for choice in question]
        nats = choice_nats(model, flat, batch_sequences)
        ends = np.cumsum([len(question) for question in self.questions])[:-1]
        per_question = np.split(nats, ends)
        sizes = [
            np.array([c.n_bytes for c in question], dtype=float) for question in self.questions
        ]
        answers = np.array(self.answers)
        ones = np.ones(len(answers))
        right = np.array([q[a] for q, a in zip(per_question, answers, strict=True)])
        right_bytes = np.array([b[a] for b, a in zip(sizes, answers, strict=True)])
        picked = np.array([q.argmin() for q in per_question])
        picked_norm = np.array([(q / b).argmin() for q, b in zip(per_question, sizes, strict=True)])
        return (
            Measurement(f"{self.name}/accuracy", (picked == answers).astype(float), ones),
            Measurement(f"{self.name}/accuracy_norm", (picked_norm == answers).astype(float), ones),
            Measurement(
                f"{self.name}/answer_bits_per_byte",
                right / (math.log(2) * right_bytes),
                right_bytes,
            ),
        )


def choice_nats(
    model: Any,
    choices: Sequence[TokenisedChoice],
    batch_sequences: int,
) -> Array:
    """Negative log-likelihood of each choice after its prompt.

    Args:
        model: Causal language model in evaluation mode.
        choices: Tokenised choices; batches are made of similar lengths.
        batch_sequences: Choices per forward pass.

    Returns:
        Shape ``(n_choices,)``, in nats, in the order given.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(choices)), key=lambda i: len(choices[i].ids))
    nats = np.empty(len(choices))
    with torch.inference_mode():
        for start in range(0, len(order), batch_sequences):
            indices = order[start : start + batch_sequences]
            rows = [torch.tensor(choices[i].ids) for i in indices]
            ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)
            lengths = torch.tensor([len(row) for row in rows], device=device)
            is_real = torch.arange(ids.shape[1], device=device) < lengths[:, None]
            logits = model(input_ids=ids, attention_mask=is_real.long(), use_cache=False).logits
            losses = torch.nn.functional.cross_entropy(
                logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none"
            ).double()
            for row, i in enumerate(indices):
                end = len(choices[i].ids) - 1
                nats[i] = float(losses[row, end - choices[i].n_scored : end].sum())
    return nats


def _tokenise(
    row: ChoiceRow, tokenizer: Tokenizer, context_tokens: int
) -> tuple[TokenisedChoice, ...]:
    prompt = row.prompt.rstrip()
    space = row.prompt[len(prompt) :]
    texts = [space + choice for choice in row.choices]
    encoded = [ids for ids, _ in tokenizer.encode([prompt, *(prompt + text for text in texts)])]
    n_prompt, wholes = len(encoded[0]), encoded[1:]
    choices = []
    for text, ids in zip(texts, wholes, strict=True):
        n_scored = max(1, len(ids) - n_prompt)
        with_start = [tokenizer.end_of_text, *ids] if n_scored == len(ids) else ids
        if n_scored >= context_tokens:
            raise DataError(
                f"{row.place}: a choice of {n_scored} tokens does not fit into the "
                f"model's context of {context_tokens}: shorten it"
            )
        kept = tuple(with_start[-context_tokens:])
        choices.append(TokenisedChoice(kept, n_scored, len(text.encode())))
    return tuple(choices)
