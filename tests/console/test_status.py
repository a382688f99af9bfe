from dataclasses import replace

import pytest

from mixwise.console.status import print_status, status_lines
from mixwise.decision.trust import Trust
from mixwise.mixture import Mixture
from mixwise.report.contents import Notice
from mixwise.stages.status import BestSoFar, Count, StudyStatus
from mixwise.study.standing import Standing, Work

BEGUN = StudyStatus("s", "search", None, Count(2, 3), Count(0, 30), 4, None, None, ())


def test_a_study_that_has_begun_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(BEGUN)
    out = capsys.readouterr().out
    assert "no process works in it" in out
    assert "2 of 3 made" in out
    assert "Best so far" not in out
    assert "Recommended" not in out


def test_the_best_the_recommendation_and_notices_are_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = replace(
        BEGUN,
        process="7",
        best_so_far=BestSoFar(1.25, Mixture(("a", "b", "c"), (0.75, 0.25, 0.0))),
        recommendation=Mixture(("a", "b"), (1.0, 0.0)),
        notices=(Notice("made\nanew", "run", "now"),),
    )
    print_status(more)
    out = capsys.readouterr().out
    assert "process 7 works in it" in out
    assert "Best so far: objective 1.250 at a 0.75, b 0.25\n" in out
    assert "Recommended: a 1\n" in out
    assert "Notice (now, run): made anew\n" in out
    assert "References:  0 trained; the recipe asks for at most 30\n" in out


def test_trust_is_a_line_and_what_is_not_known_is_left_out() -> None:
    trust = Trust("do not trust", "measured", True, ("ρ is low",), ())
    lines = status_lines(replace(BEGUN, references=Count(3, None), trust=trust))
    assert "References:  3 trained" in lines
    assert lines[-1] == "Trust:       do not trust (measured)"


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing("", 1, 1, ()), []),
        (Standing("search", 2, 5, ()), ["Now:         search (2 of 5)"]),
        (
            Standing(
                "search",
                2,
                5,
                (
                    Work("search", 3, 12, "candidates", "best so far 1.250", True, 90.0),
                    Work("evaluating", 7, 0, "batches", "", False, None),
                ),
            ),
            [
                "Now:         search (2 of 5): 3 of at most 12 candidates, best so far 1.250, "
                "about 1 min 30 s left",
                "Now:         search (2 of 5): evaluating, 7 batches",
            ],
        ),
    ],
)
def test_what_goes_on_is_said_with_the_time_left(standing: Standing, said: list[str]) -> None:
    lines = status_lines(replace(BEGUN, process="12", now=standing))
    assert [line for line in lines if line.startswith("Now:")] == said
