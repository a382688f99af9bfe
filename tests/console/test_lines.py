from __future__ import annotations

import re

from mixwise.console.lines import EVERY_SECONDS, ProgressLines, duration
from mixwise.progress import Progress, Stage


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def make_lines() -> tuple[ProgressLines, list[str], Clock]:
    said: list[str] = []
    clock = Clock()
    return ProgressLines(said.append, clock), said, clock


def candidates(done: int, note: str = "best so far 1.234") -> Progress:
    return Progress("search", done, 12, "candidates", note, is_ceiling=True)


def test_a_stage_says_when_it_begins_how_far_it_is_and_what_came_out() -> None:
    lines, said, clock = make_lines()
    lines.stage(Stage("search", 2, 6))
    lines(candidates(0, ""))
    for done in (1, 2, 3):
        clock.now += 27
        lines(candidates(done))
    clock.now += 250
    lines.stage(Stage("search", 2, 6, "9 candidates scored"))
    assert all(re.match(r"\d\d:\d\d:\d\d \S", line) for line in said)
    assert [line[9:] for line in said] == [
        "stage 2 of 6: search: begins",
        "stage 2 of 6: search: 2 of at most 12 candidates, best so far 1.234; 54 s so far, "
        "about 4 min 30 s left",
        "stage 2 of 6: search: done in 5 min 31 s: 9 candidates scored",
    ]


def test_events_alone_never_make_more_than_a_line_every_half_minute() -> None:
    lines, said, clock = make_lines()
    lines.watch("check")
    for k in range(36_000):
        clock.now += 0.1
        lines(Progress("tokenising", k % 50, 50))
    assert len(said) <= 3600 / EVERY_SECONDS
    assert len(said) >= 3600 / EVERY_SECONDS - 2


def test_a_step_that_tells_nothing_is_seen_to_go_on() -> None:
    lines, said, clock = make_lines()
    lines.stage(Stage("report", 6, 6))
    for _ in range(8):
        clock.now += EVERY_SECONDS / 2
        lines.beat()
    assert [line[9:] for line in said[1:]] == [
        f"stage 6 of 6: report: {passed} so far"
        for passed in ("30 s", "1 min 0 s", "1 min 30 s", "2 min 0 s")
    ]


def test_what_is_short_says_nothing() -> None:
    lines, said, clock = make_lines()
    lines.watch("check")
    clock.now += 3
    lines(Progress("tokenising", 20, 20))
    lines.finish()
    assert said == []


def test_a_finished_task_is_not_told_again() -> None:
    lines, said, clock = make_lines()
    lines.stage(Stage("experts"))
    lines(Progress("training", 10, 10, "steps"))
    clock.now += EVERY_SECONDS
    lines.beat()
    assert said[1][9:] == "experts: 30 s so far"


def test_work_of_unknown_size_is_counted_without_a_total() -> None:
    lines, said, clock = make_lines()
    lines.stage(Stage("search", 2, 6))
    clock.now += EVERY_SECONDS
    lines(Progress("evaluating", 40, 0, "batches"))
    assert said[1][9:] == "stage 2 of 6: search: evaluating: 40 batches; 30 s so far"


def test_the_whole_job_is_held_against_its_estimate() -> None:
    lines, said, clock = make_lines()
    lines.plan(240, "6 experts")
    lines.stage(Stage("experts", 1, 2))
    clock.now += 60
    lines.stage(Stage("experts", 1, 2, "6 experts"))
    clock.now += 240
    lines.finish()
    assert [line[9:] for line in said] == [
        "6 experts; estimated time about 4 min 0 s, if nothing is done yet",
        "stage 1 of 2: experts: begins",
        "stage 1 of 2: experts: done in 1 min 0 s: 6 experts; 1 min 0 s of about 4 min 0 s gone",
        "finished in 5 min 0 s (estimated: 4 min 0 s)",
    ]


def test_an_estimate_that_was_too_short_is_said_to_be() -> None:
    lines, said, clock = make_lines()
    lines.plan(29, "3 experts")
    clock.now += 34
    lines.stage(Stage("experts", 1, 2, "3 experts"))
    assert said[-1].endswith("done in 34 s: 3 experts; 34 s gone, more than the estimated 29 s")


def test_times_in_words() -> None:
    assert [duration(s) for s in (0, 59.4, 59.6, 3599.6)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "1 h 0 min",
    ]
