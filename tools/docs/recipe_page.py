"""The reference of the recipe, made from the classes that check it and the comments of `init`.

Every key is there with what it takes, its default and its comment; a key without a comment, or
whose section has no docstring, shows nothing in its place.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mixwise.kinds import KINDS
from mixwise.recipe import Recipe
from mixwise.recipe.sources import TextSource
from mixwise.records.formats import FORMATS
from mixwise.registry import names
from mixwise.section import Section
from mixwise.stages.init_template import EVALUATION, HORIZON, SET_EXAMPLE, TEMPLATE
from mixwise.tasks import TASKS

_HEAD = """\
# The recipe

Made by `python -m tools.docs.reference` from the classes that check a recipe. A recipe is a YAML
file; paths in it are relative to it, and a key that is not here is refused. `mixwise init` writes
all keys with their defaults and the same comments.
"""
_SOURCE = "A source of rows"
_NAMES = {
    "task": TASKS,
    "search.method": names("search method"),
    "merge.rule": names("merge rule"),
    "engine.cluster": names("engine"),
    "evaluation.sets.NAME.kind": KINDS,
    "domains.NAME.records": FORMATS,
}  # keys whose values are rows of a table, to which users may add
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_EXAMPLES = {"news": "NAME", "quiz": "NAME", "{domain}": "NAME"}  # of the template, as key paths


@dataclass(frozen=True, slots=True)
class Place:
    """A section and where it stands.

    Args:
        path: Key path; ``NAME`` stands for names of the user's, ``[]`` for the entries of a list.
        model: The class that checks it.
    """

    path: str
    model: type[BaseModel]


def render_recipe_page() -> str:
    """The page, as Markdown."""
    comments = read_comments()
    parts = [_HEAD, *_section("Keys of the recipe", Place("", Recipe), comments)]
    parts += _section(_SOURCE, Place("domains.NAME", TextSource), comments)
    seen: set[type[BaseModel]] = set()
    for place in places(Recipe, ""):
        if place.model not in seen:
            parts += _section(f"`{place.path}`", place, comments)
        seen.add(place.model)
    for kind in KINDS.values():
        if kind.keys.model_fields:
            title = f"`evaluation.sets.NAME` of `kind: {kind.name}`"
            parts += _section(title, Place("evaluation.sets.NAME", kind.keys), comments)
    for row in FORMATS.values():
        parts += _section(f"`fields` of `records: {row.name}`", Place("fields", row.fields), {})
    return "\n".join(parts)


def places(model: type[BaseModel], path: str) -> Iterator[Place]:
    """The sections below one, each before those below it."""
    for name, field in model.model_fields.items():
        for suffix, inner in _models_in(field.annotation):
            if inner is not Section:
                place = Place(f"{path}.{name}".lstrip(".") + suffix, inner)
                yield place
                yield from places(inner, place.path)


def read_comments() -> dict[str, str]:
    """What the template of `init` says of each key, by its path."""
    sets = SET_EXAMPLE.replace("{", "{{").replace("}", "}}")
    text = TEMPLATE.replace("{evaluation}", f"# evaluation:\n{EVALUATION}\n{sets}")
    text = text.replace("horizon_tokens: 10_000_000   # tokens of the final run", HORIZON)
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    last = ""
    for line in text.replace("{{", "{").replace("}}", "}").splitlines():
        opened = re.sub(r"^(\s*)# (?=\s*[\w-]+:)", r"\1", line)
        key = re.match(r"(\s*)(?:- \{)?([\w{}-]+):(.*)", opened)
        if key is None:
            more = re.match(r"\s*#\s{3,}#? *(.*)", line)
            if more and last and last in found:
                found[last] += " " + more[1].lstrip("# ")
            continue
        depth = len(key[1])
        above = [(at, name) for at, name in above if at < depth]
        last = ".".join([*(name for _, name in above), _EXAMPLES.get(key[2], key[2])])
        above.append((depth, _EXAMPLES.get(key[2], key[2])))
        comment = re.search(r"\s{2,}# ?(.*)$", key[3])
        if comment:
            found.setdefault(last, comment[1].strip())
    return found


def describe_type(annotation: Any, metadata: tuple[Any, ...] | list[Any] = ()) -> str:
    """What a key takes, in words.

    Example:
        >>> describe_type(Literal["mean", "worst"] | None)
        '`mean`, `worst` or null'
        >>> describe_type(tuple[int, ...])
        'list: whole number'
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        hints = [each for hint in inner[1:] for each in getattr(hint, "metadata", None) or [hint]]
        return describe_type(inner[0], hints)
    if origin is Literal:
        return _either([f"`{value}`" for value in inner])
    if origin in (Union, UnionType):
        words = [word for each in inner for word in _alternatives(each)]
        return _either(sorted(words, key=lambda word: word == "null"))
    if origin is tuple:
        return f"list: {describe_type(inner[0])}"
    if origin is dict:
        return f"`NAME:` {describe_type(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys"
    limits = [
        f"{sign} {getattr(hint, name):,}"
        for hint in metadata
        for name, sign in _SIGNS.items()
        if getattr(hint, name, None) is not None
    ]
    return " ".join([_WORDS.get(annotation, "value"), ", ".join(limits)]).strip()


def _alternatives(annotation: Any) -> list[str]:
    """What one member of a union takes; each value of a `Literal` is an alternative of its own."""
    if annotation is NoneType:
        return ["null"]
    if get_origin(annotation) is Literal:
        return [f"`{value}`" for value in get_args(annotation)]
    return [describe_type(annotation)]


def _section(title: str, place: Place, comments: Mapping[str, str]) -> Iterator[str]:
    yield f"\n## {title}\n"
    is_source = issubclass(place.model, TextSource) and place.model is not TextSource
    yield _prose(place.model)
    shared = set(TextSource.model_fields) if is_source else set()
    if is_source:
        yield "It has the keys of [a source of rows](#a-source-of-rows) besides.\n"
    yield "| key | takes | default | meaning |\n|---|---|---|---|"
    for name, field in place.model.model_fields.items():
        if name not in shared | {"own"}:
            path = f"{place.path}.{name}".lstrip(".").replace("[]", "")
            meaning = comments.get(path, "").replace("|", "\\|")
            takes = describe_type(field.annotation, field.metadata)
            if path in _NAMES:
                takes = f"{_either([f'`{each}`' for each in _NAMES[path]])}, or a name of yours"
            yield f"| `{name}` | {takes} | {_default(field)} | {meaning} |"


def _prose(model: type[BaseModel]) -> str:
    """The class's docstring as Markdown, without what only callers from Python need."""
    text = inspect.cleandoc(model.__doc__ or "").split("\nRaises:")[0]
    return text.replace("``", "`").rstrip() + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    value = field.default_factory() if field.default_factory else field.default  # type: ignore[call-arg]
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return "see below"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "`true`", False: "`false`"}[value]
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return '`""`' if value == "" else f"`{value}`"


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _models_in(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Sections in an annotation, each with what its key path gains."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
        return
    suffix = {dict: ".NAME", tuple: "[]"}.get(get_origin(annotation), "")  # type: ignore[arg-type]
    for inner in get_args(annotation):
        for further, model in _models_in(inner):
            yield suffix + further, model
