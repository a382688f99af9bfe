"""Lines on stdout and errors on stderr, whatever they contain and whatever the terminal can show.

Method:
    Names and values come from recipes and data, so no control character of theirs reaches the
    terminal: it is shown as its escape. What the terminal's encoding has no sign for is spelled in
    ASCII.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from mixwise.shortages import explain_failed_write

_IN_ASCII = {
    "█": "#",
    "×": "x",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "ρ": "rho",
    "δ": "delta",
    "θ": "theta",
    "λ": "lambda",
    "₀": "0",
    "‖": "||",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "·": "*",
    "±": "+-",
    "“": '"',
    "”": '"',
    "’": "'",
    "⟦": "[[",
    "⟧": "]]",
    "━": "-",
    "╸": "-",
    "╺": "-",
}
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format (text direction), half signs, line ends


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Spell in ASCII what an encoding has no sign for; the rest as its escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    spelled = (_IN_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in missing)
    return "".join(spelled), error.end


codecs.register_error("mixwise.spell", _spell)


def let_output_spell() -> None:
    """Let stdout and stderr spell what their encoding has no sign for, where they would raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="mixwise.spell")


def visible(text: str, *, but: str = "") -> str:
    r"""Show control characters as their escapes.

    Args:
        text: Any text.
        but: Characters that stay as they are.

    Example:
        >>> visible("a\x1b[2Jb")
        'a\\x1b[2Jb'
        >>> visible("two\nlines", but="\n")
        'two\nlines'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode()
        if c not in but and unicodedata.category(c) in _HIDDEN
        else c
        for c in text
    )


def print_json(content: Any) -> None:
    """Print a machine-readable result, valid JSON in whatever encoding."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower()
    _write(json.dumps(content, indent=1, ensure_ascii=not encoding.startswith("utf")) + "\n")


def print_text(text: str) -> None:
    """Print a line, or lines, as they are."""
    _write(visible(text, but="\n") + "\n")


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal, or 120 columns where there is none."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    console = Console(width=None if is_terminal else 120, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    _write(capture.get())


def print_lines(content: Mapping[str, str]) -> None:
    """Print names and what they stand for, a line each."""
    for name, value in content.items():
        print_text(f"{name}: {value}")


def print_errors(problems: Iterable[str]) -> None:
    """Print the problems of an error on stderr, each in one line, whatever is in it."""
    for problem in problems:
        print_note(f"error: {problem}")


def print_note(text: str) -> None:
    """Print one line on stderr that says whose it is."""
    print_line(f"mixwise: {text}")


def print_line(text: str) -> None:
    """Print one line on stderr at once; where nobody can read it, nothing."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.write(visible(text) + "\n")
            sys.stderr.flush()


def _write(text: str) -> None:
    """Write on stdout; a reader that has gone (``| head``) has seen what it wanted.

    Raises:
        ResourceError: If it cannot be written, as to a file on a full disk.
    """
    if sys.stdout is None:  # closed by whoever started us
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
    except OSError as error:
        _discard_stdout()
        raise explain_failed_write(error, "standard output") from None


def _discard_stdout() -> None:
    """Let what is still to be written to stdout, now or at the end, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
