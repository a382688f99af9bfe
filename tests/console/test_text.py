from __future__ import annotations

import io
import json
import sys

import pytest

from mixwise.console.text import (
    let_output_spell,
    print_errors,
    print_json,
    print_text,
    visible,
)
from mixwise.errors import ResourceError

Capture = pytest.CaptureFixture[str]


def ascii_stdout(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    let_output_spell()
    return raw


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert visible("a\x1b[2Jb\rc\u202ed") == "a\\x1b[2Jb\\rc\\u202ed"
    assert visible("größe ρ 100 %") == "größe ρ 100 %"


def test_a_newline_in_a_name_forges_no_second_error(capsys: Capture) -> None:
    print_errors(["`a\nmixwise: error: all is lost`: unknown key", "a second problem"])
    assert capsys.readouterr().err.splitlines() == [
        "mixwise: error: `a\\nmixwise: error: all is lost`: unknown key",
        "mixwise: error: a second problem",
    ]


def test_what_an_encoding_has_no_sign_for_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = ascii_stdout(monkeypatch)
    print_text("ρ 0.5 × 2 – … ██ größe")
    assert raw.getvalue() == b"rho 0.5 x 2 - ... ## gr\\xf6\\xdfe\n"


def test_json_stays_json_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = ascii_stdout(monkeypatch)
    print_json({"größe": "\U0001f600 ρ"})
    assert json.loads(raw.getvalue()) == {"größe": "\U0001f600 ρ"}


def test_a_full_disk_under_stdout_is_called_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(ResourceError, match=r"standard output: cannot be written .the disk is"):
            print_text("lost")
        monkeypatch.undo()


def test_a_closed_stdout_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    print_text("nobody reads this")
