from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.conftest import Parts

from mixwise.decision.outcome import Margin, Outcome, OutcomeWord
from mixwise.report.outcome_words import equals_words, outcome_words
from mixwise.report.reading import load_contents
from mixwise.study.results import (
    FinalFound,
)

MakeStudy = Callable[..., Path]


def _final(word: OutcomeWord, *margins: float, noise: float | None = 0.5) -> FinalFound:
    rows = tuple(
        Margin(f"b{k}", m, m / noise if noise else None, "unknown") for k, m in enumerate(margins)
    )
    recommended = Parts(("math", "code"), "slopes").final().rows[:1]
    return FinalFound((1, 2), recommended, Outcome(word, noise, rows))


@pytest.mark.parametrize(
    ("final", "start", "part"),
    [
        (None, "Not trained yet", "`mixwise train STUDY`"),
        (_final("won", 2.0, 1.0), "Won", "all 2 baselines; the closest, b1, is 1.000 (2.0 noise"),
        (_final("won", 1.0), "Won", "beat the one baseline"),
        (_final("tied", -0.25, 1.0), "Tied", "b0, is 0.250 (0.5 noise widths) ahead"),
        (_final("tied", 0.25), "Tied", "behind"),
        (_final("lost", 3.0, -1.0), "Lost", "b1 is 1.000 (2.0 noise widths) ahead"),
        (_final("unknown", 1.0, noise=None), "Unknown", "is 1.000 behind, but with one seed"),
        (_final("unknown"), "Unknown", "no baseline"),
    ],
)
def test_the_outcome_is_one_plain_sentence(final: FinalFound | None, start: str, part: str) -> None:
    words = outcome_words(final)
    assert words.startswith(start + ":")
    assert part in words


def test_equal_and_better_baselines_are_named(make_study: MakeStudy) -> None:
    predicted = load_contents(make_study(stages=("search", "calibration")))
    assert equals_words(predicted) == (
        "Cannot be told apart from the recommended mixture (by its prediction): uniform. "
        "Better than the recommended mixture (by its prediction): only code."
    )
    trained = load_contents(make_study())
    assert equals_words(trained) == ""  # trained for real, the one rival is behind
    assert trained.final is not None
    tied = replace(trained.final.outcome.margins[0], standing="equal")
    final = replace(trained.final, outcome=replace(trained.final.outcome, margins=(tied,)))
    assert equals_words(replace(trained, final=final)) == (
        "Cannot be told apart from the recommended mixture (trained for real, within one noise "
        "width): uniform."
    )
