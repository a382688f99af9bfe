from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.evaluation.likelihood.models import tiny_model
from tests.evaluation.test_suite import choice_set, text_set

from mixwise.errors import EvaluationError
from mixwise.evaluation.sets import WHOLE
from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite
from mixwise.objective import Measure, Metric
from mixwise.observation import Measurement
from mixwise.scorer import Part
from mixwise.testing import check_evaluation_set

CONFIDENCE = Measure("confidence", "max", "share", "probability of the most likely token")


@dataclass(frozen=True)
class Confidence:
    """A set of ones own: how sure the model is after each of some tokens."""

    name: str = "sure"
    n_examples: int = 5
    wrong_name: bool = False
    too_many: bool = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric.of(self.name, CONFIDENCE),)

    @property
    def n_tokens(self) -> int:
        return self.n_examples

    @property
    def fingerprint(self) -> str:
        return hashlib.blake2b(repr(self).encode()).hexdigest()

    def evaluate(self, model: Any, part: Part = WHOLE) -> tuple[Measurement, ...]:
        ids = torch.from_numpy(part.examples(self.n_examples))[:, None]
        values = model(input_ids=ids).logits[:, -1].softmax(-1).amax(-1).double().numpy()
        values = np.append(values, 1.0) if self.too_many else values
        name = "other/confidence" if self.wrong_name else f"{self.name}/confidence"
        return (Measurement(name, values, np.ones(len(values))),)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return tiny_model("llama")


def test_a_set_of_ones_own_stands_beside_the_others(model: torch.nn.Module) -> None:
    suite = EvaluationSuite((text_set(), Confidence(), choice_set()), 4)
    assert suite.needs_whole_model
    assert [chosen.name for chosen in suite.likelihood_sets] == ["text", "quiz"]
    prepared = PreparedSuite.of(suite, model)
    names = [measurement.metric for measurement in prepared.evaluate(model, Part(0, 1, 2))]
    promised = [metric.name for chosen in suite.sets for metric in chosen.metrics]
    assert names == promised
    assert prepared.n_tokens_of(suite.sets[1], Part(0, 1, 2)) == 2
    assert suite.fingerprint != EvaluationSuite((text_set(), choice_set()), 4).fingerprint


def test_several_models_at_once_are_never_measured_without_it() -> None:
    prepared = PreparedSuite(EvaluationSuite((text_set(), Confidence()), 4), "cpu")
    with pytest.raises(EvaluationError, match="`sure` is given the whole model"):
        prepared.measure_candidates(lambda batch: np.zeros((1, len(batch.rows))), ["a"])


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (Confidence(wrong_name=True), "`sure` must measure sure/confidence, but .* other/confid"),
        (Confidence(too_many=True), r"`sure/confidence` must have one value for each of the 5 .*6"),
    ],
)
def test_a_set_that_breaks_its_word_is_named(
    model: torch.nn.Module, broken: Confidence, rule: str
) -> None:
    with pytest.raises(EvaluationError, match=rule):
        EvaluationSuite((broken,), 4).evaluate(model)
    with pytest.raises(AssertionError):
        check_evaluation_set(broken, model)


def test_own_sets_keep_the_contract(model: torch.nn.Module) -> None:
    check_evaluation_set(text_set(), model)
    check_evaluation_set(choice_set(), model)
    check_evaluation_set(replace(Confidence(), n_examples=7), model)
