from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from mixwise.interrupts import Interrupted, listening

EARLY = """\
import os, signal, sys
from mixwise.interrupts import end_at_once_when_asked
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
end_at_once_when_asked()
sys.argv = ["mixwise", "check", "r.yaml", *sys.argv[2:]]
os.kill(os.getpid(), int({number}))
signal.pause()
"""
NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_before_anything_is_loaded_ends_in_a_sentence_and_a_document(
    number: signal.Signals,
) -> None:
    code = EARLY.format(number=int(number))
    command = [sys.executable, "-c", code, "", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number
    assert done.stderr.startswith("mixwise: stopped")
    assert done.stderr.rstrip().endswith("mixwise check r.yaml --json")
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"] == "stopped"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_raised_and_its_handler_put_back(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(Interrupted, match="Nothing that was finished is lost"), listening():
            signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_a_signal_that_comes_twice_at_once_is_one() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with listening():
            with pytest.raises(Interrupted, match="stopped by SIGTERM"):
                signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_is_to_be_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_except_clause_for_errors_swallows_it() -> None:
    assert not issubclass(Interrupted, Exception)
    assert [Interrupted(n).exit_code for n in NUMBERS] == [130, 143, 129]
