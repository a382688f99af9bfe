from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from mixwise.data.corpus import HeldoutSequences
from mixwise.errors import DataError, EvaluationError
from mixwise.evaluation.loss import TextSet


@pytest.fixture
def model(pico_base: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(pico_base).eval()


def text_set(n: int = 5, length: int = 12) -> TextSet:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 320, (n, length))
    return TextSet("a", HeldoutSequences(tokens, rng.integers(1, 5, (n, length))))


def test_loss_is_that_of_transformers(model: torch.nn.Module) -> None:
    chosen = text_set()
    loss, _ = chosen.measure(model, batch_sequences=2)
    ids = torch.from_numpy(chosen.sequences.tokens)
    with torch.no_grad():
        expected = float(model(input_ids=ids, labels=ids).loss)
    assert loss.metric == "a/loss"
    assert loss.value == pytest.approx(expected, abs=1e-6)


def test_every_sequence_has_its_own_value(model: torch.nn.Module) -> None:
    chosen = text_set()
    loss, _ = chosen.measure(model, batch_sequences=3)
    for k, row in enumerate(torch.from_numpy(chosen.sequences.tokens)):
        with torch.no_grad():
            expected = float(model(input_ids=row[None], labels=row[None]).loss)
        assert loss.examples[k] == pytest.approx(expected, abs=1e-5)


def test_bits_per_byte_by_hand(model: torch.nn.Module) -> None:
    chosen = text_set()
    loss, bits = chosen.measure(model, batch_sequences=8)
    nats = loss.value * 5 * 11
    n_bytes = chosen.sequences.token_bytes[:, 1:].sum()
    assert bits.value == pytest.approx(nats / math.log(2) / n_bytes, rel=1e-9)


def test_loss_that_is_not_finite_is_an_error(model: torch.nn.Module) -> None:
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(EvaluationError, match=r"`a/loss` must be finite .* 5 of 5 are not"):
        text_set().measure(model, batch_sequences=2)


def test_sequence_without_text_is_an_error() -> None:
    sequences = HeldoutSequences(np.zeros((2, 4), np.int64), np.zeros((2, 4), np.int64))
    with pytest.raises(DataError, match="holds no text"):
        TextSet("a", sequences)


def test_fingerprint_tells_sets_apart() -> None:
    assert text_set().fingerprint == text_set().fingerprint
    assert text_set(4).fingerprint != text_set(5).fingerprint
