from typing import Any

import pytest

from mixwise.console.status import print_status

CONTENT: dict[str, Any] = {
    "study": "s",
    "process": None,
    "stage": "search",
    "experts": {"done": 2, "total": 3},
    "references": {"done": 0, "total": 30},
    "candidates": 4,
    "best_so_far": None,
    "recommendation": None,
    "notices": [],
}


def test_a_study_that_has_begun_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(CONTENT)
    out = capsys.readouterr().out
    assert "no process works in it" in out
    assert "2 of 3 trained" in out
    assert "Best so far" not in out
    assert "Recommended" not in out


def test_the_best_the_recommendation_and_notices_are_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = {
        "process": 7,
        "best_so_far": {"objective": 1.25, "mixture": {"a": 0.75, "b": 0.25, "c": 0.0}},
        "recommendation": {"a": 1.0, "b": 0.0},
        "notices": [{"time": "now", "command": "run", "text": "made\nanew"}],
    }
    print_status(CONTENT | more)
    out = capsys.readouterr().out
    assert "process 7 works in it" in out
    assert "Best so far: objective 1.250 at a 0.75, b 0.25\n" in out
    assert "Recommended: a 1\n" in out
    assert "Notice (now, run): made anew\n" in out
