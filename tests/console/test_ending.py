from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.command_line import Cli

from mixwise.console.ending import _telling_errors_of_threads


@pytest.mark.parametrize("command", [["score"], ["nonsense"], ["check", "none.yaml"]])
def test_json_is_one_document_whatever_happens(command: list[str], mixwise: Cli) -> None:
    code, out, err = mixwise(*command, "--json")
    assert code in {1, 2}
    document = json.loads(out)
    assert document["error"] == ("usage" if code == 2 else "RecipeError")
    assert document["problems"]
    assert err


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ZeroDivisionError("by nought"), "ZeroDivisionError", "this is a defect of mixwise"),
        (MemoryError(), "ResourceError", "not enough memory"),
        (OSError(28, "No space left on device", "x"), "ResourceError", "x: cannot be written (the"),
    ],
)
def test_json_is_one_document_for_what_nobody_expected(
    error: Exception,
    kind: str,
    text: str,
    mixwise: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("mixwise.api.study.load_recipe", fail)
    code, out, err = mixwise("check", tmp_path, "--json")
    document = json.loads(out)
    assert (code, document["error"]) == (1, kind)
    assert text in document["problems"][0]
    assert text in err


def test_a_signal_that_no_program_survives_leaves_words() -> None:
    script = (
        "import os, signal; from mixwise.console.ending import run_to_exit_code; "
        "run_to_exit_code(lambda: os.kill(os.getpid(), signal.SIGBUS))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in done.stderr


def test_a_thread_that_memory_has_ended_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[object] = []
    monkeypatch.setattr("threading.excepthook", others.append)
    with _telling_errors_of_threads():
        for error in (RuntimeError("can't start new thread"), ValueError("another cause")):
            threading.excepthook(threading.ExceptHookArgs((type(error), error, None, None)))
    assert "a thread has ended: not enough memory (can't start" in capsys.readouterr().err
    assert [each.exc_type for each in others] == [ValueError]  # type: ignore[attr-defined]
    assert threading.excepthook == others.append
