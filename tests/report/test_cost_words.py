from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mixwise.report.contents import Contents
from mixwise.report.cost_words import cost_words
from mixwise.report.reading import load_contents
from mixwise.study.results import (
    Recommendation,
)

MakeStudy = Callable[..., Path]


def test_what_calibration_trained_is_a_part_of_the_search(make_study: MakeStudy) -> None:
    words = cost_words(load_contents(make_study()).recommendation)
    assert "trained 3 experts and 4 models for calibration on 7,000 tokens" in words
    assert "avoided 33 runs and 33,000 tokens" in words


def test_cost_says_what_was_avoided(make_study: MakeStudy) -> None:
    words = cost_words(load_contents(make_study(stages=["search"])).recommendation)
    assert "trained 3 experts on 3,000 tokens and scored 40 merged candidates" in words
    assert "avoided 37 runs and 37,000 tokens" in words
    assert "16 models and the final training 4, on 20,000 tokens" in words


def _with_cost(contents: Contents, **changes: int) -> Recommendation:
    assert contents.recommendation is not None
    cost = replace(contents.recommendation.cost, **changes)  # type: ignore[arg-type]
    return replace(contents.recommendation, cost=cost)


def test_cost_of_a_search_by_slopes_is_held_against_a_lattice(make_study: MakeStudy) -> None:
    words = cost_words(_with_cost(load_contents(make_study()), candidates_scored=3))
    assert "scored 3 merged candidates. Training, which has no slopes to read" in words
    assert "would have taken 40 runs" in words


def test_cost_does_not_boast_where_nothing_was_avoided(make_study: MakeStudy) -> None:
    found = _with_cost(load_contents(make_study()), search_tokens_avoided=-1000)
    assert "merging avoided no training" in cost_words(found)
    assert cost_words(None) == "No search has been paid for yet."
