"""Answers that a model writes: greedy or sampled, in batches, graded by right answers.

Method:
    Prompts of similar length are padded at their beginning and read together; `decoding` says which
    token comes next. An answer ends at an end-of-text token of the model, at the end-of-turn token
    of the chat template where that asks, before a stop text, or at the limit of tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mixwise.data.tokenizer import BaseTokenizer
from mixwise.errors import DataError, EvaluationError
from mixwise.evaluation.decoding import Choice, plain_generation
from mixwise.evaluation.grading import grade, grade_by, last_number
from mixwise.evaluation.likelihood.rows import Row, make_batches
from mixwise.evaluation.own import load_function, module_file, require_trust
from mixwise.evaluation.sets import WHOLE, Opening
from mixwise.evaluation.vllm_engine import open_engine, require_same_model, vllm_release
from mixwise.kinds.generation import TOKENS_WRITTEN, GenerationKeys, Graded, measures_of
from mixwise.objective import Metric
from mixwise.observation import Measurement
from mixwise.records.record import QuestionRecord
from mixwise.scorer import Part

if TYPE_CHECKING:
    from mixwise.data.chat_template import ChatTemplate


def open_generation(opening: Opening) -> GenerationSet:
    """A set on the questions of its records; evenly spaced ones where there are more than wanted.

    Raises:
        DataError: If there is no question, or one has no room in the context or no number.
        RecipeError: If there is no such function, or it may not run.
        CheckpointError: If questions are asked by a chat template and there is none.
    """
    every: list[QuestionRecord] = list(opening.records())
    keys = opening.own
    assert isinstance(keys, GenerationKeys)
    if keys.function is not None:
        require_trust(opening, f"calls `{keys.function}`")
        load_function(keys.function, opening.folder, opening.key)
    release = vllm_release(opening.key) if keys.generator == "vllm" else ""
    if not every:
        raise DataError(f"`{opening.name}` holds no question: add rows to its files")
    n_wanted = min(opening.max_examples, len(every))
    spaced = np.linspace(0, len(every) - 1, n_wanted).round().astype(int)
    questions = tuple(every[i] for i in np.unique(spaced))
    prompts = tuple(map(tuple, _ask(opening, keys, questions)))
    for question, ids in zip(questions, prompts, strict=True):
        _require_fitting(opening, keys, question, len(ids))
    return GenerationSet(
        opening.name,
        questions,
        prompts,
        keys,
        opening.tokenizer,
        opening.batch_sequences,
        opening.apart,
        opening.folder,
        _end_of_turn(opening, keys),
        release,
        opening.trust_remote_code,
    )


@dataclass(frozen=True, slots=True, eq=False)
class GenerationSet:
    """Questions whose answers are written.

    Args:
        name: Name of the set.
        questions: The questions; at least one.
        prompts: Their tokens.
        keys: How answers are written and graded.
        tokenizer: The base's.
        batch_sequences: Prompts per forward pass.
        apart: Lengths that no batch of prompts spans.
        folder: The recipe's, where a function that grades is looked for.
        end_of_turn: Token that ends an answer as end of text does; None for none.
        vllm: Release of vLLM, where that writes the answers; else empty.
        trusted: Whether code of the base's folder may run.
    """

    name: str
    questions: tuple[QuestionRecord, ...]
    prompts: tuple[tuple[int, ...], ...]
    keys: GenerationKeys
    tokenizer: BaseTokenizer
    batch_sequences: int = 8
    apart: tuple[int, ...] = ()
    folder: Path = Path()
    end_of_turn: int | None = None
    vllm: str = ""
    trusted: bool = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The measures that the recipe names."""
        return tuple(Metric.of(self.name, measure) for measure in measures_of(self.keys))

    @property
    def n_examples(self) -> int:
        """Number of questions."""
        return len(self.questions)

    @property
    def n_tokens(self) -> int:
        """Tokens of all prompts, and those that may be written."""
        return sum(map(len, self.prompts)) + self.n_examples * self.keys.max_new_tokens

    def spent_tokens(self, measured: Sequence[Measurement], part: Part = WHOLE) -> int:
        """Tokens of the part's prompts, and those that were written."""
        name = f"{self.name}/{TOKENS_WRITTEN.name}"
        written = next(each.examples for each in measured if each.metric == name)
        prompts = [len(self.prompts[i]) for i in part.examples(self.n_examples)]
        return sum(prompts) + int(written.sum())

    @property
    def fingerprint(self) -> str:
        """Hash of questions, answers, tokenizer and keys, and of the file of a function."""
        answers = [(each.prompt, each.answers) for each in self.questions]
        facts = (self.keys.model_dump_json(), self.tokenizer.fingerprint, self.apart)
        text = repr((self.name, answers, self.prompts, facts, self.end_of_turn, self.vllm))
        if self.keys.function is not None:
            file = module_file(self.keys.function, self.folder)
            text += repr(file.read_bytes() if file.is_file() else None)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def evaluate(self, model: Any, part: Part = WHOLE) -> tuple[Measurement, ...]:
        """Let a model write the answers of the part's questions, and grade them.

        Args:
            model: Causal language model in evaluation mode, on its device.
            part: Which questions.

        Raises:
            EvaluationError: If the logits of a question are not numbers, or a function that grades
                fails.
        """
        examples = part.examples(self.n_examples)
        written = self._answer(model, examples.tolist())
        questions = [self.questions[i] for i in examples]
        ones = np.ones(len(examples))
        values: dict[str, list[float]] = {
            measure: [
                np.nan if answer.text is None else self._grade(measure, answer.text, each)
                for answer, each in zip(written, questions, strict=True)
            ]
            for measure in self.keys.measures
        }
        values[TOKENS_WRITTEN.name] = [float(answer.n_tokens) for answer in written]
        return tuple(
            Measurement(f"{self.name}/{measure}", np.array(of_examples), ones)
            for measure, of_examples in values.items()
        )

    def _grade(self, measure: Graded, text: str, question: QuestionRecord) -> float:
        if measure != "function" or self.keys.function is None:
            return grade(measure, text, question.answers, self.keys.pattern)
        function = load_function(self.keys.function, self.folder, self.name)
        try:
            return grade_by(function, text, question.answers, self.keys.pattern)
        except EvaluationError as error:
            raise EvaluationError(f"`{self.name}`: {error}") from error

    def write(self, model: Any, examples: Sequence[int]) -> list[str | None]:
        """The answers of questions, in their order; None where logits are not numbers.

        Args:
            model: Causal language model in evaluation mode, on its device.
            examples: Indices of the questions.
        """
        return [answer.text for answer in self._answer(model, examples)]

    def _answer(self, model: Any, examples: Sequence[int]) -> list[_Answer]:
        if self.vllm:
            return self._answer_by_vllm(model, examples)
        prompts = [np.array(self.prompts[i]) for i in examples]
        rows = [Row(ids, np.zeros(len(ids), dtype=bool)) for ids in prompts]
        device = next(model.parameters()).device
        written: list[_Answer] = [_Answer(None, 0)] * len(rows)
        for batch in make_batches(rows, self.batch_sequences, "cpu", apart=self.apart):
            chosen = [examples[k] for k in batch.rows]
            for k, answer in zip(batch.rows, self._write(model, chosen, device), strict=True):
                written[k] = answer
        return written

    def _answer_by_vllm(self, model: Any, examples: Sequence[int]) -> list[_Answer]:
        parameter, prompts = next(model.parameters()), [self.prompts[i] for i in examples]
        dtype = str(parameter.dtype).removeprefix("torch.")
        memory = self.keys.generator_memory
        engine = open_engine(self.tokenizer.folder, dtype, memory, self.trusted)
        engine.load(model)
        with plain_generation(model, self.tokenizer.end_of_text, self.end_of_turn) as ends:
            written = engine.write(prompts, self.keys, examples, ends)
        require_same_model(model, prompts, written)
        return [self._read(answer.ids, ends) for answer in written]

    def _write(self, model: Any, chosen: Sequence[int], device: torch.device) -> list[_Answer]:
        prompts = [torch.tensor(self.prompts[i]) for i in chosen]
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self.tokenizer.end_of_text)
        mask = torch.zeros_like(ids)
        for k, prompt in enumerate(prompts):
            ids[k, longest - len(prompt) :] = prompt
            mask[k, longest - len(prompt) :] = 1
        choice = Choice(self.keys, chosen)
        stops = [lambda ids, _: self._has_stopped(ids[:, longest:])] if self.keys.stop else None
        with plain_generation(model, self.tokenizer.end_of_text, self.end_of_turn) as ends:
            found = model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                max_new_tokens=self.keys.max_new_tokens,
                logits_processor=[choice],
                stopping_criteria=stops,
            )
        answers = [self._read(row, ends) for row in found[:, longest:].tolist()]
        return [
            replace(answer, text=None) if bad else answer
            for answer, bad in zip(answers, choice.is_bad, strict=True)
        ]

    def _has_stopped(self, ids: Tensor) -> Tensor:
        texts = self.tokenizer.tokenizer.batch_decode(ids, skip_special_tokens=True)
        stopped = [any(stop in text for stop in self.keys.stop) for text in texts]
        return torch.tensor(stopped, device=ids.device)

    def _read(self, ids: Sequence[int], ends: Sequence[int]) -> _Answer:
        """What was written up to a token that ends an answer or a stop text."""
        end = next((k for k, token in enumerate(ids) if token in ends), len(ids))
        text: str = self.tokenizer.tokenizer.decode(ids[:end], skip_special_tokens=True)
        places = [text.find(stop) for stop in self.keys.stop if stop in text]
        if places:  # what follows is padding
            return _Answer(text[: min(places)], end)
        return _Answer(text, min(end + 1, len(ids)))


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer: its text, None where logits are not numbers, and the tokens written for it."""

    text: str | None
    n_tokens: int


def _ask(
    opening: Opening, keys: GenerationKeys, questions: Sequence[QuestionRecord]
) -> list[list[int]]:
    """Tokens of the prompts; those of a chat template bring the beginning of an answer.

    Raises:
        DataError: If a conversation would be asked without a template, or the template refuses it.
    """
    tokenizer = opening.tokenizer
    if not keys.apply_chat_template:
        talk = next((each for each in questions if not each.is_plain), None)
        if talk is not None:
            raise DataError(
                f"{talk.place}: turns are asked by the chat template: set "
                f"`{opening.key}.apply_chat_template` to true, or name fields of texts"
            )
        return list(tokenizer.ids([each.prompt for each in questions]))
    template = _template(opening)
    texts = [template.ask(each.asked) for each in questions]
    start = tokenizer.start_of_text
    return [
        ids[1:] if start is not None and ids[1:2] == [start] else ids
        for ids in tokenizer.ids(texts)
    ]


def _end_of_turn(opening: Opening, keys: GenerationKeys) -> int | None:
    """The token by which the chat template ends an answer."""
    token = _template(opening).end_of_turn if keys.apply_chat_template else None
    return None if token is None else int(opening.tokenizer.tokenizer.convert_tokens_to_ids(token))


def _template(opening: Opening) -> ChatTemplate:
    assert opening.chat_template is not None  # a study's inputs give it
    return opening.chat_template()


def _require_fitting(
    opening: Opening, keys: GenerationKeys, question: QuestionRecord, n_tokens: int
) -> None:
    """Refuse a question that cannot be asked, or never be answered rightly."""
    if n_tokens + keys.max_new_tokens > opening.context_tokens:
        raise DataError(
            f"{question.place}: a prompt of {n_tokens:,} tokens leaves no room for "
            f"{keys.max_new_tokens:,} more in the base's context of {opening.context_tokens:,}: "
            f"shorten it, or lower `{opening.key}.max_new_tokens`"
        )
    if "number" in keys.measures and all(last_number(each) is None for each in question.answers):
        raise DataError(
            f"{question.place}: `number` needs an answer with a number: repair the row, or leave "
            f"it out of `{opening.key}.measures`"
        )
