from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from mixwise.data.heldout import HeldoutRows
from mixwise.errors import DataError, EvaluationError
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.observation import Measurement


@pytest.fixture
def model(pico_base: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(pico_base).eval()


def text_set(n: int = 5, length: int = 12) -> TextSet:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 320, (n, length))
    return TextSet("a", HeldoutRows(tokens, rng.integers(1, 5, (n, length))))


def measure(
    model: torch.nn.Module, chosen: TextSet, batch_sequences: int
) -> tuple[Measurement, ...]:
    return EvaluationSuite((chosen,), batch_sequences).evaluate(model)


def test_loss_is_that_of_transformers(model: torch.nn.Module) -> None:
    chosen = text_set()
    loss, _ = measure(model, chosen, 2)
    ids = torch.from_numpy(chosen.heldout.tokens)
    with torch.no_grad():
        expected = float(model(input_ids=ids, labels=ids).loss)
    assert loss.metric == "a/loss"
    assert loss.value == pytest.approx(expected, abs=1e-6)


def test_every_sequence_has_its_own_value(model: torch.nn.Module) -> None:
    chosen = text_set()
    loss, _ = measure(model, chosen, 3)
    for k, row in enumerate(torch.from_numpy(chosen.heldout.tokens)):
        with torch.no_grad():
            expected = float(model(input_ids=row[None], labels=row[None]).loss)
        assert loss.examples[k] == pytest.approx(expected, abs=1e-5)


def test_bits_per_byte_by_hand(model: torch.nn.Module) -> None:
    chosen = text_set()
    loss, bits = measure(model, chosen, 8)
    nats = loss.value * 5 * 11
    n_bytes = chosen.heldout.token_bytes[:, 1:].sum()
    assert bits.value == pytest.approx(nats / math.log(2) / n_bytes, rel=1e-9)


def test_loss_that_is_not_finite_is_an_error(model: torch.nn.Module) -> None:
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(EvaluationError, match=r"`a/loss` must be finite .* 5 of 5 are not"):
        measure(model, text_set(), 2)


def test_sequence_without_text_is_an_error() -> None:
    sequences = HeldoutRows(np.zeros((2, 4), np.int64), np.zeros((2, 4), np.int64))
    with pytest.raises(DataError, match="holds no text"):
        TextSet("a", sequences)


def test_fingerprint_tells_sets_apart() -> None:
    assert text_set().fingerprint == text_set().fingerprint
    assert text_set(4).fingerprint != text_set(5).fingerprint


def test_examples_are_measured_in_the_order_asked_for() -> None:
    chosen, nats = text_set(), np.arange(5.0) + 1
    whole, order = chosen.measure(nats), np.array([3, 0])
    assert [row.ids.tolist() for row in chosen.rows(order)] == [
        chosen.heldout.tokens[3].tolist(),
        chosen.heldout.tokens[0].tolist(),
    ]
    for part, metric in zip(chosen.measure(nats[order], order), whole, strict=True):
        assert part.examples.tolist() == metric.examples[order].tolist()
        assert part.example_weights.tolist() == metric.example_weights[order].tolist()


def test_every_metric_is_a_sum_over_rows() -> None:
    chosen, nats = text_set(), np.arange(5.0) + 1
    order = np.array([4, 1, 2])
    linear = chosen.differentiable(order)
    assert linear.counted.all()
    assert linear.row_examples.tolist() == [0, 1, 2]
    for metric, measured in zip(linear.metrics, chosen.measure(nats[order], order), strict=True):
        assert metric.name == measured.metric
        np.testing.assert_allclose(metric.example_scale * nats[order], measured.examples)
        assert metric.factor * nats[order].sum() == pytest.approx(measured.value, rel=1e-12)


def test_tokens_are_counted() -> None:
    chosen = text_set()
    assert (chosen.n_examples, chosen.n_tokens) == (5, 60)
