from __future__ import annotations

from pathlib import Path

import pytest

from mixwise.errors import RecipeError
from mixwise.merging.rule_table import find_rule
from mixwise.recipe import load_recipe
from mixwise.scorer import SLOPES, VALUES
from mixwise.study.answers import Answers, choose_answers, predictions_rank_better
from mixwise.study.inputs import Inputs, Settings

ACCURACY = ("{set: alpha, measure: loss}]", "{set: quiz, measure: accuracy}]")
SHORT = (
    ("budget: 100\n", "budget: 1.5\n"),
    ("horizon_tokens: 256", "horizon_tokens: 1024"),
    ("mixtures: 2, seeds: 1", "mixtures: 0"),
)


def answers_of(pico: Path, *edits: tuple[str, str], rule: str = "linear") -> Answers:
    text = (pico / "recipe.yaml").read_text()
    for old, new in (*edits, *SHORT):
        assert old in text
        text = text.replace(old, new)
    (pico / "recipe.yaml").write_text(text)
    inputs = Inputs(load_recipe(pico / "recipe.yaml"), Settings(pico, pico / "tokens"))
    return choose_answers(inputs, find_rule(rule))


@pytest.mark.parametrize(
    ("edits", "values", "slopes", "readings"),
    [
        ((("answer: merged", "answer: predictions"),), 0, 0, 3),
        ((("answer: merged", "answer: merged"),), 2, 6, 0),
        ((("answer: merged", "answer: both"),), 2, 6, 3),
        ((("answer: merged", "answer: auto"), ACCURACY), 1, 1, 3),  # of merges at the end, values
    ],
)
def test_what_scoring_a_candidate_and_reading_an_expert_take(
    edits: tuple[tuple[str, str], ...], values: int, slopes: int, readings: int, pico: Path
) -> None:
    answers = answers_of(pico, *edits)
    assert len(answers.points) == 3
    assert (answers.passes(VALUES), answers.passes(SLOPES)) == (values, slopes)
    assert answers.readings == readings


def test_a_rule_where_nothing_is_merged_is_refused(pico: Path) -> None:
    with pytest.raises(RecipeError, match="the merge rule `centre` has no effect"):
        answers_of(pico, ("answer: merged", "answer: predictions"), rule="centre")


@pytest.mark.parametrize(
    ("steps", "is_language_model", "expected"),
    [(6, True, True), (119, True, True), (120, True, False), (6, False, True), (9, False, False)],
)
def test_predictions_answer_for_short_experts_and_of_classifiers_for_very_short_ones(
    steps: int, is_language_model: bool, expected: bool
) -> None:
    found = predictions_rank_better(steps, 120, is_language_model=is_language_model)
    assert found == expected
