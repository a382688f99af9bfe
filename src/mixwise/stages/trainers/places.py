"""Where the data of a configuration lie: files on this machine, or a dataset of the hub.

Trainers are started anywhere, and their paths start from there; a configuration read later tells
that folder no more. So a path is looked for from here and from the configuration's own folder, and
refused where both have it.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.data.formats import known_format
from mixwise.data.matching import expand_user
from mixwise.errors import RecipeError, printable
from mixwise.recipe.names import legal_name
from mixwise.stages.trainers.config import Config

BUILDERS = {
    "json": "jsonl", "csv": "csv", "parquet": "parquet", "arrow": "arrow", "text": "text",
}  # fmt: skip
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Places:
    """Folders that paths may start from.

    Args:
        config: Folder of the configuration.
        recipe: Folder of the recipe, which its paths are written from.
    """

    config: Path
    recipe: Path

    def find(self, path: str, place: str) -> str | None:
        """A path as the recipe writes it; None where no file or folder has it.

        Args:
            path: A path or a pattern.
            place: Where it stands, for the error text.

        Raises:
            RecipeError: If it is there from both folders, and not the same.
        """
        given = expand_user(path)
        starts = (Path.cwd(), self.config)
        found = list(
            dict.fromkeys((start / given).resolve() for start in starts if _is(start / given))
        )
        if len(found) > 1:
            raise RecipeError(
                f"{place}: `{printable(path)}` is both {printable(str(found[0]))} and "
                f"{printable(str(found[1]))}: write the whole path"
            )
        if not found:
            return None
        if given.is_absolute():
            return str(given)
        return Path(os.path.relpath(found[0], self.recipe.resolve())).as_posix()


def _is(path: Path) -> bool:
    """Whether there is such a file, or one of such a pattern; no path is longer than some."""
    try:
        return path.exists() or bool(glob.glob(str(path), recursive=True))
    except (OSError, ValueError):  # too long, or with a NUL
        return False


@dataclass(frozen=True, slots=True)
class Wanted:
    """A dataset as trainers name one: what `datasets.load_dataset` is given.

    Args:
        path: A file, a folder, a builder such as ``json``, or a dataset of the hub.
        files: Files of it; none for all.
        kind: The builder, where ``path`` is none.
        config: Configuration of a dataset of the hub.
        split: The same.
        revision: The same.
    """

    path: str
    files: Sequence[str] = ()
    kind: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None


def locate(wanted: Wanted, places: Places, entry: Config) -> dict[str, Any]:
    """The keys of a domain that say where its rows come from.

    Args:
        wanted: What the configuration names.
        places: Folders that paths may start from.
        entry: Its mapping there, for error texts.

    Raises:
        RecipeError: If there is no such file, or it cannot be told what is meant.
    """
    place = f"{entry.place}: `{entry.prefix.removesuffix('.') or 'dataset_name'}`"
    if wanted.path in BUILDERS and wanted.files:
        return _as_files(wanted.files, wanted.path, places, place)
    local = places.find(wanted.path, place)
    if local is not None:
        inside = [f"{wanted.path}/{file}" for file in wanted.files]
        return _as_files(inside or [wanted.path], wanted.kind, places, place)
    if known_format(wanted.path) or not _HUB_NAME.fullmatch(wanted.path):
        raise RecipeError(
            f"{place}: `{printable(wanted.path)}` is no file here or beside the configuration: "
            "correct the path, or start `mixwise init` where the trainer is started"
        )
    if wanted.files:
        raise RecipeError(
            f"{place}: files of a dataset of the hub cannot be chosen, but got "
            f"`{printable(', '.join(wanted.files))}` of `{wanted.path}`: download them, and name "
            "them by their paths"
        )
    chosen = {"config": wanted.config, "split": wanted.split, "revision": wanted.revision}
    given = {key: value for key, value in chosen.items() if value is not None}
    return {"hub": {"dataset": wanted.path, **given}}


def _as_files(paths: Sequence[str], kind: str | None, places: Places, place: str) -> dict[str, Any]:
    found = [places.find(path, place) for path in paths]
    for path, each in zip(paths, found, strict=True):
        if each is None:
            raise RecipeError(
                f"{place}: `{printable(path)}` is no file here or beside the configuration: "
                "correct the path, or start `mixwise init` where the trainer is started"
            )
    keys: dict[str, Any] = {"files": found[0] if len(found) == 1 else found}
    is_unknown = any(Path(path).suffix and not known_format(path) for path in paths)
    if is_unknown and kind in BUILDERS:
        keys["format"] = BUILDERS[kind]
    return keys


def take_base(config: Config, key: str, revision: str, places: Places) -> dict[str, Any]:
    """The key ``base``: a folder, or a model of the hub with its revision."""
    base, chosen = config.take_text(key), config.take_text(revision)
    if base is None:
        return {}
    local = places.find(base, f"{config.place}: `{key}`")
    return {"base": local or (f"{base}@{chosen}" if chosen else base)}


def take_template(config: Config, key: str, places: Places) -> dict[str, Any]:
    """The key ``chat_template``, where a Jinja file is named; anything else is left."""
    path = config.values.get(key)
    is_file = isinstance(path, str) and "\n" not in path and path.endswith((".jinja", ".jinja2"))
    local = places.find(str(path), f"{config.place}: `{key}`") if is_file else None
    if local is None:
        return {}
    config.taken.add(key)
    return {"chat_template": local}


def first_file(keys: Mapping[str, Any], places: Places) -> Path | None:
    """A file of a domain that lies here; None for a dataset of the hub, a folder or a pattern."""
    files = keys.get("files", [])
    path = places.recipe / (files if isinstance(files, str) else files[0]) if files else None
    return path if path is not None and path.is_file() else None


def name_domains(wanted: Sequence[str]) -> list[str]:
    """A name for each dataset, made of what it is called; equal ones are numbered.

    Example:
        >>> name_domains(["data/wiki.jsonl", "org/wiki", "code/"])
        ['wiki', 'wiki-2', 'code']
    """
    names: list[str] = []
    for text in wanted:
        stem = Path(text).name.split(".")[0]
        name = legal_name(stem)[:60] or "d"
        lowered = [other.lower() for other in names]
        copies = (name, *(f"{name}-{i}" for i in range(2, len(names) + 3)))
        names.append(next(each for each in copies if each.lower() not in lowered))
    return names
