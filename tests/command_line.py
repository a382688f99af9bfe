"""Commands of the command line, and changes to what they read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

Cli = Callable[..., tuple[int, str, str]]


RUN = [sys.executable, "-m", "mixwise", "run"]


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
