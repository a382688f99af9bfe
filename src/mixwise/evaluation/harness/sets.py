"""Evaluation sets of lm-eval tasks: the harness' own requests, filters and metrics, in process.

Method:
    Multiple choice by log-likelihood is read by mixwise, so that it can be averaged, merged by
    layers and followed by slopes: prompt and choice are tokenised as the harness does, and its
    ``process_results`` judges the likelihoods. All other tasks are asked of the harness' own model
    around the live one, whose tensors change from merge to merge. Answers of an earlier model never
    stay: they are replaced request by request.

Source:
    ``lm_eval.evaluator.evaluate`` and ``HFLM`` of EleutherAI's lm-evaluation-harness, 0.4.13.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mixwise.arrays import Array
from mixwise.data.contamination import Passage
from mixwise.errors import EvaluationError, first_line
from mixwise.evaluation.harness.figures import Figures, figures, require_measures, right_answer
from mixwise.evaluation.harness.tasks import (
    OpenedTask,
    TaskDocument,
    TaskSpec,
    opened,
    quiet,
    reopened,
)
from mixwise.evaluation.likelihood.choice import ChoiceSet
from mixwise.evaluation.likelihood.rows import Indices, Row
from mixwise.evaluation.likelihood.sets import Differentiable, LikelihoodSet, all_examples
from mixwise.evaluation.sets import WHOLE, EvaluationSet, Opening
from mixwise.kinds.lm_eval import ANSWER_BITS_PER_BYTE, LmEvalKeys, measures_of
from mixwise.objective import Metric
from mixwise.observation import Measurement
from mixwise.records.record import ChoiceRecord
from mixwise.scorer import Part

_OF_LIKELIHOODS = {"acc", "acc_norm", "acc_bytes", "brier_score", "answer_bits_per_byte"}


def open_task(opening: Opening) -> EvaluationSet:
    """A set on the documents of a task.

    Raises:
        MissingDependencyError: If lm-eval is not installed.
        RecipeError: If there is no such task or measure.
        DataError: If its documents cannot be read.
    """
    keys = opening.own
    assert isinstance(keys, LmEvalKeys)
    tokenizer = opening.tokenizer
    spec = TaskSpec(opening.key, keys, opening.folder, tokenizer.folder, opening.trust_remote_code)
    task = reopened(spec)
    require_measures(task)
    if _is_choice(task):
        choices = _tokenise(opening, task)
        facts = f"{task.fingerprint} {choices.fingerprint}"
        return TaskChoices(opening.name, spec, task.fingerprint, choices, _hash(facts))
    return TaskSet(
        opening.name,
        spec,
        task.fingerprint,
        len(task.documents),
        sum(_n_tokens(each, opening) for each in task.documents),
        opening.batch_sequences,
        opening.context_tokens,
        _hash(f"{task.fingerprint} {tokenizer.fingerprint} {opening.context_tokens}"),
    )


@dataclass(frozen=True, slots=True, eq=False)
class TaskChoices(LikelihoodSet):
    """Documents of a multiple-choice task.

    Args:
        name: Name of the set.
        spec: The task.
        content: Its fingerprint.
        choices: Its requests, tokenised.
        digest: Hash of all that the measurements depend on besides the model.
    """

    name: str
    spec: TaskSpec
    content: str
    choices: ChoiceSet
    digest: str

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The measures that the recipe names."""
        return _metrics(self.name, self.spec)

    @property
    def n_examples(self) -> int:
        """Number of documents."""
        return self.choices.n_examples

    @property
    def n_tokens(self) -> int:
        """Tokens of all choices, each with its prompt."""
        return self.choices.n_tokens

    @property
    def fingerprint(self) -> str:
        """Hash of documents, requests, measures and tokens."""
        return self.digest

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The documents as training data may hold them."""
        return opened(self.spec, self.content).passages

    def rows(self, examples: Indices | None = None) -> tuple[Row, ...]:
        """One row per choice, document after document."""
        return self.choices.rows(examples)

    def measure(self, nats: Array, examples: Indices | None = None) -> tuple[Measurement, ...]:
        """What the harness makes of the likelihoods.

        Args:
            nats: Negative log-likelihood of each choice after its prompt, shape ``(n_choices,)``.
            examples: The documents; None for all.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """
        task = opened(self.spec, self.content)
        documents = [task.documents[i] for i in all_examples(examples, self.n_examples)]
        sizes = [len(each.requests) for each in documents]
        split = np.split(nats, np.cumsum(sizes)[:-1])
        answers = [[(-float(value), False) for value in own] for own in split]
        found = _measurements(self.name, figures(task, documents, answers))
        sloped = {m.metric: m for m in self.choices.measure(nats, examples)}
        bits = f"{self.name}/{ANSWER_BITS_PER_BYTE.name}"  # its slopes are those of the choices
        return tuple(sloped[bits] if m.metric == bits else m for m in found)

    def differentiable(self, examples: Indices | None = None) -> Differentiable:
        """``answer_bits_per_byte``, where the recipe names it."""
        found = self.choices.differentiable(examples)
        wanted = {metric.name for metric in self.metrics}
        metrics = tuple(metric for metric in found.metrics if metric.name in wanted)
        return Differentiable(found.counted, found.row_examples, metrics)


@dataclass(frozen=True, slots=True, eq=False)
class TaskSet:
    """Documents of any other task, asked of the harness' model.

    Args:
        name: Name of the set.
        spec: The task.
        content: Its fingerprint.
        n_examples: Number of documents.
        n_tokens: Tokens that an evaluation reads and writes, at most.
        batch_sequences: Requests per forward pass.
        context_tokens: Longest input of the model.
        digest: Hash of all that the measurements depend on besides the model.
    """

    name: str
    spec: TaskSpec
    content: str
    n_examples: int
    n_tokens: int
    batch_sequences: int
    context_tokens: int
    digest: str

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The measures that the recipe names."""
        return _metrics(self.name, self.spec)

    @property
    def fingerprint(self) -> str:
        """Hash of documents, requests and measures."""
        return self.digest

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The documents as training data may hold them."""
        return opened(self.spec, self.content).passages

    def evaluate(self, model: Any, part: Part = WHOLE) -> tuple[Measurement, ...]:
        """Ask the part's documents of a model.

        Args:
            model: Causal language model in evaluation mode, on its device.
            part: Which documents.

        Raises:
            EvaluationError: If the harness cannot ask them, or a value is not finite.
        """
        task = opened(self.spec, self.content)
        documents = [task.documents[i] for i in part.examples(self.n_examples)]
        try:
            with quiet():
                answers = self._ask(model, documents)
        except Exception as error:  # whatever the harness raises
            raise EvaluationError(
                f"`{self.name}`: lm-eval could not ask the model ({first_line(error)}): mend the "
                "task"
            ) from None
        return _measurements(self.name, figures(task, documents, answers))

    def _ask(self, model: Any, documents: Sequence[TaskDocument]) -> list[list[Any]]:
        harness = _around(
            model,
            self.spec.tokenizer,
            self.spec.trust_remote_code,
            self.batch_sequences,
            self.context_tokens,
        )
        requests = [request for each in documents for request in each.requests]
        answers: dict[int, Any] = {}
        for kind in dict.fromkeys(request.request_type for request in requests):
            asked = [request for request in requests if request.request_type == kind]
            found = getattr(harness, kind)(asked, disable_tqdm=True)
            answers |= {id(r): answer for r, answer in zip(asked, found, strict=True)}
        return [[answers[id(request)] for request in each.requests] for each in documents]


@lru_cache(maxsize=1)
def _around(
    model: Any, folder: Path, trusted: bool, batch_sequences: int, context_tokens: int
) -> Any:
    """The harness' model around a live one, whose tensors may change."""
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    return HFLM(
        pretrained=model,
        tokenizer=AutoTokenizer.from_pretrained(folder, trust_remote_code=trusted),
        batch_size=batch_sequences,
        max_length=context_tokens if context_tokens < 2**31 else None,
    )


def _is_choice(task: OpenedTask) -> bool:
    """Whether all documents are choices that likelihoods decide."""
    keys = task.spec.keys
    return (
        keys.filter is None
        and set(keys.measures) <= _OF_LIKELIHOODS
        and all(
            each.task.OUTPUT_TYPE == "multiple_choice"
            and not each.task.multiple_input
            and not each.task.multiple_target
            and len(each.requests) == len(each.task.doc_to_choice(each.document))
            and each.weight == 1
            for each in task.documents
        )
    )


def _tokenise(opening: Opening, task: OpenedTask) -> ChoiceSet:
    records = [
        ChoiceRecord(
            prompt=each.requests[0].arguments[0],
            choices=tuple(request.arguments[1] for request in each.requests),
            answer=right_answer(each),
            place=f"{task.spec.keys.task}:{number + 1}",
        )
        for number, each in enumerate(task.documents)
    ]
    return ChoiceSet.tokenise(
        opening.name,
        records,
        opening.tokenizer,
        max_rows=len(records),
        context_tokens=opening.context_tokens,
    )


def _n_tokens(each: TaskDocument, opening: Opening) -> int:
    """Tokens that the requests of a document read and may write."""
    total = 0
    for request in each.requests:
        texts = [text for text in request.arguments if isinstance(text, str) and text]
        total += sum(len(ids) for ids in opening.tokenizer.ids(texts))
        for options in request.arguments:
            if isinstance(options, dict):
                total += int(options.get("max_gen_toks", 256))
    return total


def _metrics(name: str, spec: TaskSpec) -> tuple[Metric, ...]:
    return tuple(Metric.of(name, measure) for measure in measures_of(spec.keys))


def _measurements(name: str, found: dict[str, Figures]) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(f"{name}/{measure}", of.values, of.weights) for measure, of in found.items()
    )


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
