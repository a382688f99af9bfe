"""What the harness finds of each document, as values and weights whose mean is its own figure.

Notation:
    v: what ``process_results`` gives for a document: a number, or (log-likelihood, size).

Method:
    mean:  value v, weight 1.  perplexity = exp(−mean v):  −v, 1.
    word and byte perplexity = exp(−Σ ℓ / Σ size):  −ℓ / size, size.
    bits per byte = −Σ ℓ / (ln 2 Σ size):  −ℓ / (ln 2 · size), size.
    ``answer_bits_per_byte`` is that of the right continuation, as it is scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixwise.arrays import Array
from mixwise.errors import RecipeError, printable
from mixwise.evaluation.harness.tasks import OpenedTask, TaskDocument
from mixwise.kinds.lm_eval import ANSWER_BITS_PER_BYTE, LOGARITHMS

_MEAN = {"mean"}
_SIZED = {"weighted_perplexity", "bits_per_byte"}
_ANSWERED = {"multiple_choice", "loglikelihood"}


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """One measure of some documents: values and weights, shape ``(n_documents,)``."""

    values: Array
    weights: Array


def require_measures(task: OpenedTask) -> None:
    """Refuse measures that a task does not have, or that are no means over documents.

    Raises:
        RecipeError: Names the first, and what there is.
    """
    keys = task.spec.keys
    for harness_task in {id(each.task): each.task for each in task.documents}.values():
        name = printable(str(harness_task.config.task), 80)
        known, better = harness_task.aggregation(), harness_task.higher_is_better()
        for measure in keys.measures:
            where = f"`{task.spec.key}.measures`"
            if measure == ANSWER_BITS_PER_BYTE.name:
                if harness_task.OUTPUT_TYPE not in _ANSWERED:
                    raise RecipeError(f"{where}: `{name}` has no right answer to score: leave out")
                continue
            metric = LOGARITHMS.get(measure, measure)
            if metric not in known:
                there = ", ".join(sorted(known))
                raise RecipeError(f"{where}: `{name}` has no `{metric}`: use one of {there}")
            if _rule(known[metric]) not in _MEAN | _SIZED | {"perplexity"}:
                raise RecipeError(
                    f"{where}: `{metric}` of `{name}` is no mean over documents: leave it out"
                )
            turned = keys.measures.get(measure) if isinstance(keys.measures, dict) else None
            said = {True: "max", False: "min"}.get(better.get(metric))
            if turned is not None and said is not None and turned != said:
                raise RecipeError(
                    f"{where}: `{name}` says that `{metric}` is better at its {said}imum, but the "
                    f"recipe says {turned}: change it"
                )
        names = _filters(harness_task)
        if keys.filter is not None and keys.filter not in names:
            raise RecipeError(
                f"`{task.spec.key}.filter`: `{name}` has no filter `{printable(keys.filter, 80)}`: "
                f"use one of {', '.join(names)}"
            )


def figures(
    task: OpenedTask, documents: Sequence[TaskDocument], responses: Sequence[Sequence[Any]]
) -> dict[str, Figures]:
    """Every measure of some documents.

    Args:
        task: The opened task.
        documents: Some of its documents.
        responses: What the model answered to the requests of each.
    """
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in task.spec.keys.measures}
    for each, answers in zip(documents, responses, strict=True):
        found = _process(task, each, answers)
        for name, row in rows.items():
            value, weight = _figure(name, each, answers, found)
            row.append((value, weight * each.weight))
    return {name: Figures(*np.array(row, dtype=float).T) for name, row in rows.items()}


def right_answer(each: TaskDocument) -> int:
    """Place of the request that holds the right answer of a document."""
    if each.task.OUTPUT_TYPE == "loglikelihood":
        return 0
    target = each.task.doc_to_target(each.document)
    if isinstance(target, str):
        choices: list[str] = each.task.doc_to_choice(each.document)
        return choices.index(target)
    return int(target[0] if isinstance(target, list) else target)


def _process(task: OpenedTask, each: TaskDocument, answers: Sequence[Any]) -> dict[str, Any]:
    for request, answer in zip(each.requests, answers, strict=True):
        request.resps, request.filtered_resps = [answer], {}
    chosen = task.spec.keys.filter or _filters(each.task)[0]
    for ensemble in each.task._filters:  # the harness has no other name for them
        if ensemble.name == chosen:
            ensemble.apply(list(each.requests))
    filtered = [request.filtered_resps[chosen] for request in each.requests]
    found: dict[str, Any] = each.task.process_results(each.document, filtered)
    return found


def _figure(
    name: str, each: TaskDocument, answers: Sequence[Any], found: dict[str, Any]
) -> tuple[float, float]:
    if name == ANSWER_BITS_PER_BYTE.name:
        right = right_answer(each)
        n_bytes = len(each.requests[right].arguments[1].encode())
        return -answers[right][0] / (math.log(2) * n_bytes), n_bytes
    metric = LOGARITHMS.get(name, name)
    rule, value = _rule(each.task.aggregation()[metric]), found[metric]
    if rule in _MEAN:
        return float(value), 1.0
    if rule == "perplexity":
        return -float(value), 1.0
    likelihood, size = value
    return -likelihood / (size * (math.log(2) if rule == "bits_per_byte" else 1)), float(size)


def _rule(aggregation: Any) -> str:
    return str(getattr(aggregation, "__name__", ""))


def _filters(task: Any) -> list[str]:
    return [ensemble.name for ensemble in task._filters]
