"""Lines on stdout and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_json(content: Any) -> None:
    """Print a machine-readable result."""
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def print_text(text: str) -> None:
    """Print a line as it is."""
    _stdout().print(text, highlight=False, markup=False, soft_wrap=True)


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal, or 120 columns where there is none."""
    _stdout().print(table)


def print_lines(content: Mapping[str, str]) -> None:
    """Print names and what they stand for, a line each."""
    for name, value in content.items():
        print_text(f"{name}: {value}")


def print_error(text: str) -> None:
    """Print the lines of an error on stderr."""
    console = Console(stderr=True)
    for line in text.splitlines():
        console.print(f"mixwise: error: {line}", highlight=False, markup=False, soft_wrap=True)


def print_note(text: str) -> None:
    """Print what the user should know before it happens, on stderr."""
    console = Console(stderr=True)
    console.print(f"mixwise: {text}", highlight=False, markup=False, soft_wrap=True)


def _stdout() -> Console:
    return Console(width=None if sys.stdout.isatty() else 120)
