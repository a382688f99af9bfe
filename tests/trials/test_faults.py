"""What the trials of faults notice, with a command of a second in place of a study's run.

The real ones: `python -m trials.faults`.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from trials.faults import __main__ as faults
from trials.faults import running
from trials.faults.kinds import KINDS, Trial, _without_tracker, killed, terminated, two_writers
from trials.faults.running import Held, Loss, Running, compare, look
from trials.tiny_study import Outcome

Command = Callable[[Path, Sequence[str]], None]


def careful(place: Path, arguments: Sequence[str]) -> None:
    """Goes on from what is there, in four steps."""
    for step in range(4):
        record = place / "study" / "experts" / str(step) / "run.json"
        if not record.is_file():
            time.sleep(0.2)
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(str(step))
    (place / "study" / "recommendation.json").write_text("answer")


def forgetful(place: Path, arguments: Sequence[str]) -> None:
    """Begins anew each time."""
    for record in place.glob("study/experts/*/run.json"):
        record.unlink()
    careful(place, arguments)


def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Trial:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(running, "run_cli", command)
    return Trial(tmp_path, place, 1.0, random.Random(0))


def test_a_run_that_is_killed_loses_nothing_that_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trial(tmp_path, monkeypatch, careful)
    for _ in range(3):
        seen = killed("group")(made)
        assert seen.loss == Loss(0, 0)
        assert not seen.wrong
    assert Running.start(made.source, made.place).end().code == 0
    assert (made.study / "recommendation.json").read_text() == "answer"


def test_a_run_that_begins_anew_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trial(tmp_path, monkeypatch, careful)
    assert Running.start(made.source, made.place).end().code == 0
    before = look(made.study)
    assert len(before.runs) == 4
    monkeypatch.setattr(running, "run_cli", forgetful)
    assert Running.start(made.source, made.place).end().code == 0
    assert compare(before, look(made.study)) == Loss(0, 4)


def test_what_is_gone_is_counted_apart_from_what_was_made_again() -> None:
    before = Held({"a": (1, b"x"), "b": (1, b"y")}, {1: ("f", 0.5), 2: ("g", 0.5)})
    after = Held({"a": (2, b"x")}, {1: ("f", 0.5), 2: ("h", 0.5), 3: ("i", 0.1)})
    assert compare(before, after) == Loss(1, 2)


def breaks(place: Path, arguments: Sequence[str]) -> None:
    time.sleep(5)


def refuses(place: Path, arguments: Sequence[str]) -> None:
    print("mixwise: error: another mixwise (process 1) is working here", file=sys.stderr)
    raise SystemExit(1)


def test_a_signal_without_a_word_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    seen = terminated(trial(tmp_path, monkeypatch, breaks))
    assert "exit -15" in seen.wrong


def test_a_second_writer_that_is_not_refused_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "exit" in two_writers(trial(tmp_path, monkeypatch, refuses)).wrong


def test_processes_that_are_left_are_found_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_ORPHAN_SECONDS", 0.2)

    def leaves(place: Path, arguments: Sequence[str]) -> None:
        import os

        if not os.fork():
            time.sleep(30)

    made = trial(tmp_path, monkeypatch, leaves)
    ended = Running.start(made.source, made.place).end()
    assert ended.is_unexpected
    assert "1 processes were left" in ended.err


def write_recipe(source: Path) -> None:
    source.mkdir()
    (source / "recipe.yaml").write_text("engine: {workers: 1}")


@pytest.mark.parametrize(("command", "code"), [(careful, 0), (forgetful, 1)])
def test_a_line_a_kind_says_what_was_lost_and_repeated(
    command: Command,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(running, "run_cli", command)
    monkeypatch.setattr(faults, "write_source_in_new_process", write_recipe)
    assert faults.main(["--trials", "6", "--only", "parent"]) == code
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("killed, parent alone")
    assert "0 different, 0 wrong" in line
    assert (" 0 lost, 0 repeated" in line) == (code == 0)


def test_there_are_a_hundred_kills_among_the_usual_trials() -> None:
    share = sum(kind.share for kind in KINDS.values())
    kills = sum(kind.share for name, kind in KINDS.items() if "killed" in name)
    assert 190 * kills / share >= 100


def serves(place: Path, arguments: Sequence[str]) -> None:
    """Waits beside a process that it has started, which has started another."""
    import os

    if not os.fork():
        os.fork()
    time.sleep(5)


def test_a_worker_is_what_a_server_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trial(tmp_path, monkeypatch, serves)
    started = Running.start(made.source, made.place)
    for how in ("worker", "server"):
        while len(members := running._members(started.process)) < (2 if how == "worker" else 1):
            time.sleep(0.01)
        chosen = started._chosen(how, random.Random(0))
        assert [members[process] == started.process for process in chosen] == [how == "server"]
        started.signal(how, signal.SIGKILL, random.Random(0))
    started.signal("group", signal.SIGKILL, random.Random(0))
    assert started.end().code == -signal.SIGKILL


def test_what_pythons_watcher_over_semaphores_writes_is_its_own() -> None:
    watcher = (
        "/lib/multiprocessing/resource_tracker.py:123: UserWarning: resource_tracker: process "
        "died unexpectedly, relaunching.  Some resources might leak.\n  warnings.warn('it')\n"
    )
    other = 'Traceback (most recent call last):\n  File "/lib/{}", line 1, in main\n    x\n{}\n'
    own = other.format("multiprocessing/resource_tracker.py", "KeyError: '/mp-1'")
    assert not _without_tracker(Outcome(0, "", watcher + own + own)).is_unexpected
    for text in (other.format("mixwise/x.py", "KeyError: '/mp-1'"), "a defect of mixwise\n"):
        assert _without_tracker(Outcome(0, "", own + text + watcher)).is_unexpected


def test_where_no_worker_is_there_none_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trial(tmp_path, monkeypatch, careful)
    seen = killed("worker")(made)  # this command has none
    assert seen.loss == Loss(0, 0)
    assert not seen.wrong
