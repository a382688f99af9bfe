"""Recipes of examples, made small enough for a test."""

from collections.abc import Mapping
from pathlib import Path

SMALL = {
    "verify: true": "verify: false",
    "batch_sequences: 32": "batch_sequences: 4",
    "warmup_steps: 5": "warmup_steps: 1",
}


def shrunk(recipe: Path, changes: Mapping[str, str]) -> str:
    """Text of a recipe in which some texts, each of which must be there, are others."""
    text = recipe.read_text()
    for old, new in {**SMALL, **changes}.items():
        assert old in text
        text = text.replace(old, new)
    return text
