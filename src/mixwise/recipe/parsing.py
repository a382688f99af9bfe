"""From YAML to a recipe, with errors that name file, key, rule, value and fix."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from mixwise.errors import RecipeError, nearest
from mixwise.recipe.recipe import Recipe
from mixwise.recipe.sections import HubDataset

_UNIONS = (
    ("engine", "workers"),
    ("engine", "threads"),
    ("training", "lora", "target_modules"),
)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        RecipeError: If the file is missing or breaks a rule; all problems, one a line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path}: the recipe cannot be read ({error}): give the path of a YAML "
            "file, or write one with `mixwise init`"
        ) from None
    return parse_recipe(text, str(path))


def parse_recipe(text: str, origin: str) -> Recipe:
    """Turn YAML text into a recipe.

    Args:
        text: The YAML.
        origin: What error texts call the recipe, such as its path.

    Raises:
        RecipeError: If the text is not YAML, a key is unknown, doubled or missing, or a value
            breaks a rule; all problems, one a line.
    """
    try:
        raw = yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{origin}: not valid YAML: {reason}") from None
    if not isinstance(raw, dict):
        raise RecipeError(
            f"{origin}: a recipe must be a mapping of keys, but got "
            f"{type(raw).__name__}: start from `mixwise init`"
        )
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        items = [dict(item) for item in error.errors()]
        lines = [line for item in _join_branches(items) for line in _explain(item)]
        raise RecipeError(*(f"{origin}: {line}" for line in lines)) from None


def _join_branches(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the errors of a union's branches, which stand at one key, into one."""
    joined: dict[object, dict[str, Any]] = {}
    for item in items:
        place = _place(item["loc"])
        if place in joined and place != item["loc"]:
            item = item | {"msg": f"{joined[place]['msg']}, or {item['msg'].lower()}"}
        joined[place if place != item["loc"] else (place, item["type"])] = item
    return list(joined.values())


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not a silent replacement."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.YAMLError(
                    f"the key `{key}` stands twice (line {key_node.start_mark.line + 1}): "
                    "rename or remove one"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _explain(item: dict[str, Any]) -> list[str]:
    """Turn one pydantic error into lines of `key`: rule, what came, what to do."""
    place = _place(item["loc"])
    key = ".".join(str(part) for part in place)
    if item["type"] == "value_error":
        lines = [str(line) for line in item["ctx"]["error"].args]
        return [f"`{key}`: {line}" if key else line for line in lines]
    if item["type"] == "extra_forbidden":
        return [f"`{key}`: unknown key: {nearest(str(place[-1]), _valid_keys(place[:-1]))}"]
    if item["type"] == "missing":
        return [f"`{key}`: this key is required: add it (see `mixwise init` for an example)"]
    rule = item["msg"][0].lower() + item["msg"][1:]
    return [f"`{key}`: {rule}, but got {item['input']!r}: change it"]


def _place(location: tuple[object, ...]) -> tuple[object, ...]:
    """Cut from a pydantic location what names a branch of a union and not a key."""
    union = next((key for key in _UNIONS if location[: len(key)] == key), None)
    return location if union is None else union


def _valid_keys(place: tuple[object, ...]) -> list[str]:
    """The keys that are valid in the section at a place of the recipe."""
    section: type[BaseModel] = Recipe
    parts = list(place)
    while parts:
        annotation = section.model_fields[str(parts.pop(0))].annotation
        models = [m for m in (annotation, *get_args(annotation)) if _is_model(m)]
        if not _is_model(annotation) and parts and models and models[0] is not HubDataset:
            parts.pop(0)  # the name of an entry, or its number
        section = models[0]
    return list(section.model_fields)


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
