from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.evaluation.likelihood.models import VOCABULARY, tiny_model

from mixwise.data.heldout import HeldoutRows
from mixwise.errors import EvaluationError
from mixwise.evaluation.greedy import GreedySet
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.scorer import Part
from mixwise.testing import check_evaluation_set

N, LENGTH = 6, 12


def greedy_set(tokens: np.ndarray) -> GreedySet:
    supervised = np.zeros(tokens.shape, dtype=bool)
    supervised[:, 8:] = True
    lengths = np.array([LENGTH, LENGTH, 11, LENGTH, 10, LENGTH])
    rows = HeldoutRows(tokens, np.ones_like(tokens), supervised, lengths)
    return GreedySet(TextSet("lines", rows))


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return tiny_model("llama")


@pytest.fixture(scope="module")
def written(model: torch.nn.Module) -> GreedySet:
    """Rows of which the model itself has written the end; but for one token of the second."""
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (N, LENGTH))
    for k in range(8, LENGTH):
        with torch.no_grad():
            tokens[:, k] = model(input_ids=torch.from_numpy(tokens[:, :k])).logits[:, -1].argmax(-1)
    tokens[1, 11] = (tokens[1, 11] + 1) % VOCABULARY
    return greedy_set(tokens)


def test_what_greedy_decoding_writes_matches(model: torch.nn.Module, written: GreedySet) -> None:
    match, accuracy = written.evaluate(model)
    assert match.metric == "lines/greedy_match"
    assert match.examples.tolist() == [1, 0, 1, 1, 1, 1]
    assert accuracy.metric == "lines/token_accuracy"
    assert accuracy.examples.tolist() == [1, 0.75, 1, 1, 1, 1]
    assert accuracy.example_weights.tolist() == [4, 4, 3, 4, 2, 4]
    assert accuracy.value == pytest.approx(20 / 21)
    [part, _] = written.evaluate(model, Part(0, 1, 2))
    assert part.examples.tolist() == match.examples[Part(0, 1, 2).examples(N)].tolist()


def test_the_set_keeps_the_contract(model: torch.nn.Module, written: GreedySet) -> None:
    check_evaluation_set(written, model)
    check_evaluation_set(written.text, model)
    assert written.fingerprint != written.text.fingerprint


def test_a_logit_that_is_not_finite_is_an_error(written: GreedySet) -> None:
    broken = tiny_model("llama")
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    with pytest.raises(EvaluationError, match=r"`lines/greedy_match` must be finite .* 6 of 6"):
        written.evaluate(broken)
