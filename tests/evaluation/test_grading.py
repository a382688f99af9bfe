from __future__ import annotations

import pytest

from mixwise.evaluation.grading import grade
from mixwise.kinds.generation import Graded


@pytest.mark.parametrize(
    ("measure", "text", "answers", "expected"),
    [
        ("exact_match", " Paris\n", ["Rome", "Paris"], 1.0),
        ("exact_match", "paris", ["Paris"], 0.0),
        ("normalised_match", "The  paris!", ["Paris"], 1.0),
        ("contains", "It is Paris.", ["Paris"], 1.0),
        ("number", "6 * 3 = 1,018.", ["#### 1018"], 1.0),
        ("number", "-3", ["3"], 0.0),
        ("number", "none", ["3"], 0.0),
        ("f1", "the big cat sat", ["a cat"], 0.5),
        ("f1", "dog", ["cat"], 0.0),
    ],
)
def test_grades_worked_by_hand(
    measure: Graded, text: str, answers: list[str], expected: float
) -> None:
    assert grade(measure, text, answers) == expected


def test_a_pattern_takes_the_answer_out() -> None:
    pattern = r"answer: (\w+)"
    assert grade("exact_match", "so, answer: b", ["b"], pattern) == 1.0
    assert grade("exact_match", "b", ["b"], pattern) == 0.0
    assert grade("pattern_found", "answer: c", ["b"], pattern) == 1.0
