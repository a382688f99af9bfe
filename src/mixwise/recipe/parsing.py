"""From YAML to a recipe, with errors that name file, key, rule, value and fix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mixwise.errors import RecipeError, nearest, printable, shown
from mixwise.kinds import KINDS
from mixwise.recipe.domains import EvaluationSource
from mixwise.recipe.limits import FitLimits
from mixwise.recipe.recipe import Recipe
from mixwise.recipe.sources import TextSource
from mixwise.recipe.strict_yaml import parse_yaml
from mixwise.records.formats import FORMATS

_MOST_BYTES = 2**20  # of a recipe
_MOST_LINES = 20  # problems that are told at once
_UNIONS = (
    ("engine", "workers"),
    ("engine", "threads"),
    ("training", "lora", "target_modules"),
    ("search", "prior", "shares"),
    ("prior", "shares"),
)


def load_recipe(path: Path, *, verify: bool = False) -> Recipe:
    """Read a recipe file.

    Args:
        path: The file.
        verify: Whether verification is asked for, whatever the file says.

    Raises:
        RecipeError: If the file is missing or breaks a rule; all problems, one a line.
    """
    text = _read(path, "recipe", "give the path of a YAML file, or write one with `mixwise init`")
    return parse_recipe(text, printable(str(path)), verify=verify)


def load_limits(path: Path) -> FitLimits:
    """Read a file of limits: the keys of a recipe's ``search`` that a fit of runs knows.

    Args:
        path: The file.

    Raises:
        RecipeError: If the file is missing or breaks a rule; all problems, one a line.
    """
    origin, remedy = printable(str(path)), "give the path of a YAML file"
    values = _mapping(_read(path, "limits", remedy), origin, "limits", "write `bounds:`, `groups:`")
    try:
        return FitLimits.model_validate(values)
    except ValidationError as error:
        raise RecipeError(*explain(error, origin, FitLimits)) from None


def _read(path: Path, what: str, remedy: str) -> str:
    """Text of a file, of bounded size."""
    where = f"{printable(str(path))}: the {what} cannot be read"
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content[:_MOST_BYTES].decode()
    except UnicodeDecodeError as error:
        raise RecipeError(f"{where} (not UTF-8 text at byte {error.start + 1}): {remedy}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise RecipeError(f"{where} ({reason}): {remedy}") from None
    if len(content) > _MOST_BYTES:
        raise RecipeError(f"{where} (it is larger than {_MOST_BYTES:,} bytes): {remedy}")
    return text


def parse_recipe(text: str, origin: str, *, verify: bool = False) -> Recipe:
    """Turn YAML text into a recipe.

    Args:
        text: The YAML.
        origin: What error texts call the recipe, such as its path.
        verify: Whether verification is asked for, whatever the text says.

    Raises:
        RecipeError: If the text is not YAML, a key is unknown, doubled or missing, or a value
            breaks a rule; all problems, one a line.
    """
    if len(text) > _MOST_BYTES:
        raise RecipeError(f"{origin}: larger than {_MOST_BYTES:,} characters: shorten the recipe")
    raw = _mapping(text, origin, "a recipe", "start from `mixwise init`")
    return _validate(raw | {"verify": True} if verify else raw, origin)


def _mapping(text: str, origin: str, what: str, remedy: str) -> dict[str, Any]:
    """The keys that YAML text holds."""
    try:
        raw = parse_yaml(text)
    except ValueError as error:
        raise RecipeError(f"{origin}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise RecipeError(
            f"{origin}: {what} must be a mapping of keys, but got {type(raw).__name__}: {remedy}"
        )
    return raw


def add_domains(recipe: Recipe, values: Mapping[str, str], origin: str) -> Recipe:
    """Put domains in the place of ``domains_from``.

    Args:
        recipe: The recipe.
        values: By the name of each domain, the value of the column that its rows have.
        origin: What error texts call the recipe, such as its path.

    Returns:
        The recipe that names each of these domains by itself, with ``where``; the same one if it
        has no ``domains_from``.

    Raises:
        RecipeError: If it is not consistent with these domains, or names one of them itself.
    """
    source = recipe.domains_from
    if source is None:
        return recipe
    twice = next((name for name in values if name in recipe.domains), None)
    if twice is not None:
        raise RecipeError(
            f"{origin}: `domains_from.column`: a value makes the domain `{twice}`, which `domains` "
            "names too: rename that one"
        )
    chosen = {name: getattr(recipe, name) for name in recipe.model_fields_set - {"domains_from"}}
    found = {name: source.domain(value) for name, value in values.items()}
    return _validate({**chosen, "domains": {**recipe.domains, **found}}, origin)


def _validate(values: Mapping[str, Any], origin: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(*explain(error, origin)) from None


def explain(
    error: ValidationError, origin: str, section: type[BaseModel] = Recipe
) -> tuple[str, ...]:
    """What pydantic has found, in lines of `key`: rule, what came, what to do.

    Args:
        error: What it has found.
        origin: What the lines call the whole.
        section: What was checked.
    """
    items = [dict(item) for item in error.errors()]
    lines = [line for item in _join_branches(items) for line in _explain(item, section)]
    if len(lines) > _MOST_LINES:
        rest = len(lines) - _MOST_LINES
        lines = [*lines[:_MOST_LINES], f"and {rest:,} more problems: repair these first"]
    return tuple(f"{origin}: {printable(line, 800)}" for line in lines)


def _join_branches(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the errors of a union's branches, which stand at one key, into one."""
    joined: dict[object, dict[str, Any]] = {}
    for item in items:
        place = _place(item["loc"])
        if place in joined and place != item["loc"]:
            item = item | {"msg": f"{joined[place]['msg']}, or {item['msg'].lower()}"}
        joined[place if place != item["loc"] else (place, item["type"])] = item
    return list(joined.values())


def _explain(item: dict[str, Any], whole: type[BaseModel]) -> list[str]:
    """Turn one pydantic error into lines of `key`: rule, what came, what to do."""
    place = _place(item["loc"])
    key = ".".join(printable(str(part), 80) for part in place)
    if item["type"] == "value_error":
        lines = [str(line) for line in item["ctx"]["error"].args]
        return [f"`{key}`: {line}" if key else line for line in lines]
    if item["type"] == "extra_forbidden":
        return [f"`{key}`: unknown key: {nearest(str(place[-1]), _valid_keys(place[:-1], whole))}"]
    if item["type"] == "missing":
        return [f"`{key}`: this key is required: add it (see `mixwise init` for an example)"]
    rule = item["msg"][0].lower() + item["msg"][1:]
    return [f"`{key}`: {rule}, but got {shown(item['input'])}: change it"]


def _place(location: tuple[object, ...]) -> tuple[object, ...]:
    """Cut from a pydantic location what names a branch of a union and not a key."""
    union = next((key for key in _UNIONS if location[: len(key)] == key), None)
    return location if union is None else union


def _valid_keys(place: tuple[object, ...], whole: type[BaseModel]) -> list[str]:
    """The keys that are valid in the section at a place of the recipe."""
    section = whole
    parts = list(place)
    while parts:
        key = str(parts.pop(0))
        if key == "fields" and issubclass(section, TextSource):
            return list(
                dict.fromkeys(key for row in FORMATS.values() for key in row.fields.model_fields)
            )
        annotation = section.model_fields[key].annotation
        models = [m for m in (annotation, *get_args(annotation)) if _is_model(m)]
        if parts and get_origin(annotation) in (dict, tuple):
            parts.pop(0)  # the name of an entry, or its number
        section = models[0]
    own = [key for row in KINDS.values() for key in row.keys.model_fields]
    is_set = section is EvaluationSource
    return [key for key in section.model_fields if key != "own"] + own * is_set


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
