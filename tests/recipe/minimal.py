"""A small recipe that tests change, and how they refuse it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mixwise.errors import RecipeError
from mixwise.recipe import Recipe, parse_recipe

MINIMAL: dict[str, Any] = {
    "base": "models/base",
    "domains": {"math": {"files": "math.jsonl"}, "code": {"files": ["a.txt", "b.txt"]}},
    "horizon_tokens": 1_000_000,
}


def dump(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False)


def recipe(**changes: Any) -> Recipe:
    return parse_recipe(dump(MINIMAL | changes), "r.yaml")


def refuse(rule: str, **changes: Any) -> str:
    with pytest.raises(RecipeError, match=rule) as caught:
        recipe(**changes)
    return str(caught.value)


def domains(**code: Any) -> dict[str, Any]:
    return {"math": {"files": "math.jsonl"}, "code": code}
