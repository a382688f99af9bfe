"""Multiple choice by log-likelihood.

Notation:
    ℓ_c: log-likelihood of choice c after the prompt, in nats, summed over its tokens.
    B_c: UTF-8 bytes of what is scored: the choice, and the white space before it.

Method:
    accuracy: argmax ℓ_c is the right choice;  accuracy_norm: argmax ℓ_c / B_c is;
    answer_bits_per_byte: −Σ ℓ_right / (ln 2 · Σ B_right).  Of equal choices the first is taken.
    Prompt and choice are tokenised together; white space at the end of the prompt counts as part of
    the choice. A text longer than the model's context loses tokens at its beginning, but not BOS.

Source:
    ``acc`` and ``acc_norm`` of EleutherAI's lm-evaluation-harness (``process_results`` of its
    multiple-choice tasks).

Departures:
    The harness divides by the characters of the choice as the task gives it, without the space that
    it puts before it. Bytes and the space are counted here, so that every token that is scored is
    also in the length: the two normalised accuracies may differ in a few questions, and in more of
    them where the text is not ASCII or the choices are very short.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array
from mixwise.data.pieces import Tokenizer
from mixwise.errors import DataError
from mixwise.evaluation.likelihood.rows import Indices, Row
from mixwise.evaluation.likelihood.sets import (
    Differentiable,
    LikelihoodSet,
    all_examples,
    linear_metric,
)
from mixwise.evaluation.sets import Opening
from mixwise.kinds import ACCURACY, ACCURACY_NORM, ANSWER_BITS_PER_BYTE
from mixwise.objective import Metric
from mixwise.observation import Measurement
from mixwise.records.record import ChoiceRecord


def open_choices(opening: Opening) -> ChoiceSet:
    """A choice set on the questions of its records."""
    return ChoiceSet.tokenise(
        opening.name,
        opening.records(),
        opening.tokenizer,
        max_rows=opening.max_examples,
        context_tokens=opening.context_tokens,
    )


@dataclass(frozen=True, slots=True)
class TokenisedChoice:
    """One choice after its prompt: ids, how many of the last ones belong to the choice, bytes."""

    ids: tuple[int, ...]
    n_scored: int
    n_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class ChoiceSet(LikelihoodSet):
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
        rows: Iterable[ChoiceRecord],
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
            raise DataError(f"`{name}` holds no question: add rows to its files")
        spaced = np.linspace(0, len(every) - 1, min(max_rows, len(every))).round().astype(int)
        chosen = [every[i] for i in np.unique(spaced)]
        questions = tuple(_tokenise(row, tokenizer, context_tokens) for row in chosen)
        return cls(name, questions, tuple(row.answer for row in chosen))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """``accuracy``, ``accuracy_norm`` and ``answer_bits_per_byte``."""
        measures = (ACCURACY, ACCURACY_NORM, ANSWER_BITS_PER_BYTE)
        return tuple(Metric.of(self.name, measure) for measure in measures)

    @property
    def n_examples(self) -> int:
        """Number of questions."""
        return len(self.questions)

    @property
    def n_tokens(self) -> int:
        """Tokens of all choices, each with its prompt."""
        return sum(len(choice.ids) for question in self.questions for choice in question)

    @property
    def fingerprint(self) -> str:
        """Hash of the questions and answers."""
        text = repr((self.name, self.questions, self.answers))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def rows(self, examples: Indices | None = None) -> tuple[Row, ...]:
        """One row per choice, question after question."""
        return tuple(
            Row.ending_in(np.array(choice.ids, dtype=np.int64), choice.n_scored)
            for question in self._questions(examples)
            for choice in question
        )

    def measure(self, nats: Array, examples: Indices | None = None) -> tuple[Measurement, ...]:
        """``accuracy``, ``accuracy_norm`` and ``answer_bits_per_byte``.

        Args:
            nats: Negative log-likelihood of each choice after its prompt, shape ``(n_choices,)``.
            examples: The questions; None for all.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """
        questions = self._questions(examples)
        answers = np.array(self.answers)[all_examples(examples, self.n_examples)]
        per_question = np.split(nats, np.cumsum([len(question) for question in questions])[:-1])
        sizes = [np.array([c.n_bytes for c in question], dtype=float) for question in questions]
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

    def differentiable(self, examples: Indices | None = None) -> Differentiable:
        """``answer_bits_per_byte``, over the right choices."""
        questions = self._questions(examples)
        answers = np.array(self.answers)[all_examples(examples, self.n_examples)]
        counted = [k == a for q, a in zip(questions, answers, strict=True) for k in range(len(q))]
        n_bytes = [float(q[a].n_bytes) for q, a in zip(questions, answers, strict=True)]
        return Differentiable(
            counted=np.array(counted),
            row_examples=np.repeat(np.arange(len(questions)), [len(q) for q in questions]),
            metrics=(
                linear_metric(f"{self.name}/answer_bits_per_byte", math.log(2) * np.array(n_bytes)),
            ),
        )

    def _questions(self, examples: Indices | None) -> list[tuple[TokenisedChoice, ...]]:
        return [self.questions[i] for i in all_examples(examples, self.n_examples)]


def _tokenise(
    row: ChoiceRecord, tokenizer: Tokenizer, context_tokens: int
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
        kept = _fit(with_start, context_tokens, tokenizer.start_of_text)
        choices.append(TokenisedChoice(kept, n_scored, len(text.encode())))
    return tuple(choices)


def _fit(ids: list[int], context_tokens: int, start_of_text: int | None) -> tuple[int, ...]:
    """The end of a row that is too long; it keeps BOS where rows begin with it."""
    if len(ids) <= context_tokens or start_of_text is None:
        return tuple(ids[-context_tokens:])
    return (start_of_text, *ids[1 - context_tokens :])
