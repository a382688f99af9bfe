"""Configurations of trainers over the pico folder, and what is read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mixwise.errors import RecipeError
from mixwise.stages.trainers.config import Taken
from mixwise.stages.trainers.read import read_config

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]


def write_config(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def write_row(path: Path, **row: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row) + "\n")


def take(folder: Path, values: dict[str, Any]) -> Taken:
    return read_config(write_config(folder, values), folder)


def domains_of(taken: Taken) -> dict[str, dict[str, Any]]:
    return {domain.name: dict(domain.keys) for domain in taken.domains}


def refuse(rule: str, folder: Path, values: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=rule):
        take(folder, values)
