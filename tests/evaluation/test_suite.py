from __future__ import annotations

import pickle
from contextlib import AbstractContextManager, nullcontext
from unittest.mock import patch

import numpy as np
import pytest
import torch
from tests.evaluation.likelihood.models import VOCABULARY, tiny_model

from mixwise.data.heldout import HeldoutRows
from mixwise.errors import EvaluationError, MixwiseWarning
from mixwise.evaluation import suite as suite_module
from mixwise.evaluation.likelihood.choice import ChoiceSet, TokenisedChoice
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite, explain_unshared
from mixwise.scorer import Part


def text_set(n: int = 9) -> TextSet:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, VOCABULARY, (n, 12))
    return TextSet("text", HeldoutRows(tokens, rng.integers(1, 5, tokens.shape)))


def choice_set(most_tokens: int = 4) -> ChoiceSet:
    """Ten questions of three choices, each of one token or more."""
    rng = np.random.default_rng(1)

    def choices() -> tuple[TokenisedChoice, ...]:
        prompt = rng.integers(0, VOCABULARY, rng.integers(2, 40)).tolist()
        sizes = rng.integers(1, most_tokens + 1, 3).tolist()
        return tuple(
            TokenisedChoice((*prompt, *rng.integers(0, VOCABULARY, n).tolist()), n, 3 * n)
            for n in sizes
        )

    answers = tuple(rng.integers(0, 3, 10).tolist())
    return ChoiceSet("quiz", tuple(choices() for _ in answers), answers)


@pytest.fixture(scope="module")
def suite() -> EvaluationSuite:
    return EvaluationSuite((text_set(), choice_set()), batch_sequences=4)


def says_why_unshared(kind: str) -> AbstractContextManager[object]:
    """What opening a suite for the model must say."""
    if kind != "mamba":
        return nullcontext()
    return pytest.warns(MixwiseWarning, match="`quiz`.*because .*MambaForCausalLM")


def test_nothing_is_said_where_no_prompt_is_shared() -> None:
    model = tiny_model("mamba")
    alone = EvaluationSuite((text_set(),), batch_sequences=4)
    assert explain_unshared(alone, model) is None
    PreparedSuite.of(alone, model)


@pytest.mark.parametrize("kind", ["llama", "mistral", "mamba"])
def test_all_ways_give_the_same_values(kind: str, suite: EvaluationSuite) -> None:
    model = tiny_model(kind)
    one_by_one = PreparedSuite(EvaluationSuite(suite.sets, 1), "cpu").evaluate(model)
    with says_why_unshared(kind):
        ways = (
            suite.evaluate(model),
            PreparedSuite(suite, "cpu").evaluate(model),
            PreparedSuite.of(suite, model).evaluate(model),
        )
    for measurements in ways:
        for measured, expected in zip(measurements, one_by_one, strict=True):
            assert measured.metric == expected.metric
            np.testing.assert_allclose(measured.examples, expected.examples, atol=1e-5)


def test_parts_make_the_whole(suite: EvaluationSuite) -> None:
    model = tiny_model("llama")
    prepared = PreparedSuite.of(suite, model)
    whole = prepared.evaluate(model)
    for k in range(3):
        part = Part(k, k + 1, 3)
        for measured, expected in zip(prepared.evaluate(model, part), whole, strict=True):
            order = part.examples(len(expected.examples))
            np.testing.assert_allclose(measured.examples, expected.examples[order], atol=1e-5)


def test_tensors_are_built_once(suite: EvaluationSuite) -> None:
    model = tiny_model("llama")
    prepared = PreparedSuite.of(suite, model)
    part = Part(1, 2, 2)
    first = prepared.evaluate(model), prepared.evaluate(model, part)
    batches = prepared.batches(suite.sets[0])
    with (
        patch.object(suite_module, "make_batches", side_effect=AssertionError),
        patch.object(suite_module, "share_prefixes", side_effect=AssertionError),
    ):
        again = prepared.evaluate(model), prepared.evaluate(model, part)
        assert prepared.batches(suite.sets[0]) is batches
    for one, other in zip(first, again, strict=True):
        assert [m.value for m in one] == [m.value for m in other]


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_tokens_are_those_that_the_model_reads(kind: str) -> None:
    """Counted at the embedding, in batches that need no padding."""
    model, read = tiny_model(kind), []
    suite = EvaluationSuite((text_set(), choice_set(most_tokens=1)), 1)
    with says_why_unshared(kind):
        prepared = PreparedSuite.of(suite, model)
    model.get_input_embeddings().register_forward_hook(lambda _, ids, __: read.append(ids[0]))
    prepared.evaluate(model)
    assert prepared.n_tokens() == sum(ids.numel() for ids in read)
    assert (prepared.n_tokens() < suite.n_tokens) == (kind == "llama")


def test_parts_read_as_many_tokens_as_the_whole(suite: EvaluationSuite) -> None:
    prepared = PreparedSuite(suite, "cpu")
    assert prepared.n_tokens() == suite.n_tokens
    assert sum(prepared.n_tokens(Part(k, k + 1, 4)) for k in range(4)) == suite.n_tokens


def test_is_a_value_that_other_processes_can_have(suite: EvaluationSuite) -> None:
    other = pickle.loads(pickle.dumps(suite))
    assert other.fingerprint == suite.fingerprint
    model = tiny_model("llama")
    assert [m.value for m in other.evaluate(model)] == [m.value for m in suite.evaluate(model)]


def test_fingerprint_tells_suites_apart(suite: EvaluationSuite) -> None:
    assert EvaluationSuite(suite.sets[:1], 4).fingerprint != suite.fingerprint
    assert EvaluationSuite(suite.sets, 8).fingerprint == suite.fingerprint


def test_a_model_that_has_diverged_is_an_error(suite: EvaluationSuite) -> None:
    model = tiny_model("llama")
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(EvaluationError, match=r"`text/loss` must be finite"):
        suite.evaluate(model)
