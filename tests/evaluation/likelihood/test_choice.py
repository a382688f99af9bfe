from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from mixwise.data.tokenizer import BaseTokenizer
from mixwise.errors import DataError
from mixwise.evaluation.likelihood.choice import ChoiceSet
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.records.record import ChoiceRecord

ROWS = [
    ChoiceRecord("one two ", ("three", "four five six", "a"), 1, "quiz:1"),
    ChoiceRecord("un deux", (" trois", " b c d e f"), 0, "quiz:2"),
    ChoiceRecord("a b c d e f g h a b c d e f g h", (" a", " é"), 1, "quiz:3"),
]


@pytest.fixture
def tokenizer(pico_base: Path) -> BaseTokenizer:
    return BaseTokenizer(pico_base)


@pytest.fixture
def model(pico_base: Path) -> torch.nn.Module:
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(pico_base).eval()
    with torch.no_grad():  # far from uniform, so that choices differ
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model


def slow_nats(model: torch.nn.Module, tokenizer: BaseTokenizer, prompt: str, text: str) -> float:
    """One choice at a time, one token at a time, without padding."""
    start = tokenizer.tokenizer(prompt.rstrip(), add_special_tokens=False)["input_ids"]
    whole = tokenizer.tokenizer(prompt + text, add_special_tokens=False)["input_ids"]
    total = 0.0
    for k in range(len(start), len(whole)):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([whole[:k]])).logits[0, -1]
        total -= float(torch.log_softmax(logits, 0)[whole[k]])
    return total


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_equals_a_slow_reference(
    batch: int, model: torch.nn.Module, tokenizer: BaseTokenizer
) -> None:
    quiz = ChoiceSet.tokenise("quiz", ROWS, tokenizer, max_rows=10, context_tokens=64)
    accuracy, norm, bits = EvaluationSuite((quiz,), batch).evaluate(model)
    for k, row in enumerate(ROWS):
        nats = [slow_nats(model, tokenizer, row.prompt, choice) for choice in row.choices]
        space = row.prompt[len(row.prompt.rstrip()) :]
        sizes = [len((space + choice).encode()) for choice in row.choices]
        per_byte = [n / s for n, s in zip(nats, sizes, strict=True)]
        assert accuracy.examples[k] == (nats.index(min(nats)) == row.answer)
        assert norm.examples[k] == (per_byte.index(min(per_byte)) == row.answer)
        expected = nats[row.answer] / sizes[row.answer] / math.log(2)
        assert bits.examples[k] == pytest.approx(expected, rel=1e-4)


def test_metrics_have_their_names(model: torch.nn.Module, tokenizer: BaseTokenizer) -> None:
    quiz = ChoiceSet.tokenise("quiz", ROWS, tokenizer, max_rows=10, context_tokens=64)
    names = [m.metric for m in EvaluationSuite((quiz,), 4).evaluate(model)]
    assert names == ["quiz/accuracy", "quiz/accuracy_norm", "quiz/answer_bits_per_byte"]


def test_rows_are_taken_evenly(tokenizer: BaseTokenizer) -> None:
    quiz = ChoiceSet.tokenise("quiz", ROWS, tokenizer, max_rows=2, context_tokens=64)
    assert quiz.answers == (1, 1)


def test_long_prompts_lose_their_beginning(
    model: torch.nn.Module, tokenizer: BaseTokenizer
) -> None:
    long = [ChoiceRecord("one two three " * 50, ("four", "five"), 0, "quiz:1")]
    quiz = ChoiceSet.tokenise("quiz", long, tokenizer, max_rows=1, context_tokens=16)
    assert {len(choice.ids) for choice in quiz.questions[0]} == {16}


def test_choice_longer_than_the_context_is_an_error(tokenizer: BaseTokenizer) -> None:
    long = [ChoiceRecord("one", (" two" * 50, " three"), 0, "quiz:7")]
    with pytest.raises(DataError, match=r"quiz:7: a choice of .* tokens does not fit"):
        ChoiceSet.tokenise("quiz", long, tokenizer, max_rows=1, context_tokens=16)


def test_no_rows_is_an_error(tokenizer: BaseTokenizer) -> None:
    with pytest.raises(DataError, match="`quiz` holds no question"):
        ChoiceSet.tokenise("quiz", [], tokenizer, max_rows=1, context_tokens=16)


@pytest.fixture
def quiz(tokenizer: BaseTokenizer) -> ChoiceSet:
    return ChoiceSet.tokenise("quiz", ROWS, tokenizer, max_rows=10, context_tokens=64)


def test_questions_are_measured_in_the_order_asked_for(quiz: ChoiceSet) -> None:
    nats = np.array([3.0, 1.0, 2.0, 5.0, 9.0, 4.0, 7.0])
    whole, order = quiz.measure(nats), np.array([2, 0])
    chosen = np.array([5, 6, 0, 1, 2])
    assert [row.ids.tolist() for row in quiz.rows(order)] == [
        quiz.rows()[i].ids.tolist() for i in chosen
    ]
    for part, metric in zip(quiz.measure(nats[chosen], order), whole, strict=True):
        assert part.examples.tolist() == metric.examples[order].tolist()
        assert part.value == pytest.approx(np.average(part.examples, weights=part.example_weights))


def test_answers_likelihood_is_a_sum_over_rows(quiz: ChoiceSet) -> None:
    nats = np.array([3.0, 1.0, 2.0, 5.0, 9.0, 4.0, 7.0])
    linear, measured = quiz.differentiable(), quiz.measure(nats)[2]
    [metric] = linear.metrics
    assert metric.name == measured.metric
    assert linear.counted.tolist() == [False, True, False, True, False, False, True]
    assert linear.row_examples.tolist() == [0, 0, 0, 1, 1, 2, 2]
    counted = np.bincount(linear.row_examples, nats * linear.counted)
    np.testing.assert_allclose(metric.example_scale * counted, measured.examples)
    assert metric.factor * counted.sum() == pytest.approx(measured.value, rel=1e-12)


def test_tokens_are_counted(quiz: ChoiceSet) -> None:
    assert quiz.n_examples == 3
    assert quiz.n_tokens == sum(len(row.ids) for row in quiz.rows())
