"""Commands of the command line, and changes to what they read."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

Cli = Callable[..., tuple[int, str, str]]


RUN = [sys.executable, "-m", "mixwise", "run"]


def run_here(*arguments: object) -> str:
    """Run the command line in this process, for which nothing has to be imported again.

    Returns:
        What it says on stderr.
    """
    from mixwise.cli.app import main

    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()):
        patch.setattr("sys.argv", ["mixwise", *map(str, arguments)])
        with redirect_stderr(said), pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code, said.getvalue()
    return said.getvalue()


def replace(old: str, new: str) -> Callable[[Path], None]:
    def breaking(folder: Path) -> None:
        recipe = folder / "recipe.yaml"
        text = recipe.read_text()
        assert old in text
        recipe.write_text(text.replace(old, new))

    return breaking


def edit_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def recommended_bytes(study: Path) -> bytes:
    return (study / "recommendation.json").read_bytes()


@contextmanager
def hearing(number: signal.Signals) -> Iterator[None]:
    """Let processes that are started meanwhile hear a signal, even if the tests run in background.

    A shell without job control starts background jobs with the signal ignored, and what is ignored
    is inherited by every process below.
    """
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)
