"""Init: a commented recipe, with the data files of a folder as its domains and sets."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mixwise.data.formats import known_format, name_parts
from mixwise.data.matching import is_data_name
from mixwise.data.recognition import Recognised, recognise
from mixwise.errors import (
    MixwiseError,
    RecipeError,
    ResourceError,
    holds_control_characters,
    printable,
)
from mixwise.records.formats import FORMATS
from mixwise.records.record import Document
from mixwise.stages.init_tasks import holds_labels, is_image_folder, task_of
from mixwise.stages.init_template import EVALUATION, HORIZON, OF_EXAMPLES, SET_EXAMPLE, TEMPLATE
from mixwise.stages.trainers.config import Taken, TakenDomain
from mixwise.stages.trainers.read import read_config
from mixwise.study.folder import RECIPE_FILE
from mixwise.tasks import CAUSAL_LM, TASKS

_PROSE = (".md", ".markdown", ".rst")
_IMAGES = "image"  # the record format


@dataclass(frozen=True, slots=True)
class _Found:
    """A dataset that was found: its name, its files, what its rows are and where parts stand."""

    name: str
    files: tuple[str, ...]
    records: str = "text"
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def field(self) -> str:
        """The field of a text."""
        return self.fields.get("text", "text")

    @property
    def parts(self) -> str:
        """``fields`` of records of several parts; empty where they are the usual ones."""
        usual = FORMATS.find(self.records).fields().model_dump()
        if all(usual[part] == name for part, name in self.fields.items()):
            return ""
        return ", ".join(f"{part}: {_quote(name)}" for part, name in self.fields.items())


@dataclass(frozen=True, slots=True)
class _Folder:
    """What a folder holds: domains, choice sets, and data that has no way in, with the reason."""

    domains: tuple[_Found, ...]
    sets: tuple[_Found, ...]
    left_out: tuple[str, ...]
    task: str = CAUSAL_LM.name


_EXAMPLE = (
    _Found("math", ("data/math.jsonl",)),
    _Found("code", ("data/code/*.parquet",), fields={"text": "content"}),
    _Found("web", ("data/web.txt",)),
)


def write_recipe(folder: Path, config: Path | None = None) -> Path:
    """Write a recipe into a folder.

    Args:
        folder: The folder; made when missing. Without a ``config``, data files, and folders of
            them, in it and in its ``data/`` become domains, or evaluation sets where they hold
            multiple-choice rows; what has no way in is named with the reason; a folder with a
            model's ``config.json`` becomes the base.
        config: Configuration of a trainer, whose datasets become domains instead.

    Returns:
        Path of the recipe.

    Raises:
        RecipeError: If there is one already, or the configuration cannot be taken over.
        ResourceError: If it cannot be written.
    """
    path = folder / RECIPE_FILE
    if path.exists():
        raise RecipeError(f"{path}: exists already: edit it, or remove it first")
    text = _of_folder(folder) if config is None else _of_config(read_config(config, folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({error}): choose another folder") from None
    return path


def _of_folder(folder: Path) -> str:
    """The recipe over the data files that a folder holds."""
    bases = sorted(p.parent for p in folder.glob("*/config.json")) if folder.is_dir() else []
    found = _look_at(folder, bases[0] if bases else None)
    domain = found.domains[0].name if len(found.domains) >= 2 else _EXAMPLE[0].name
    text = TEMPLATE.format(
        recipe=RECIPE_FILE,
        domain=_quote(domain),
        text_set=_quote(domain) if found.sets else "manual",
        choice_set=_quote(found.sets[0].name) if found.sets else "quiz",
        domains="\n".join(_domain_lines(found)),
        evaluation="\n".join(_evaluation_lines(found.sets)),
        base=_quote(bases[0].relative_to(folder).as_posix()) if bases else "path/to/base-model",
    )
    if found.task == CAUSAL_LM.name:
        return text
    return _set(text.replace(HORIZON, OF_EXAMPLES), "task", found.task)


def _of_config(taken: Taken) -> str:
    """The recipe over the datasets of a trainer's configuration, and what it does not take over."""
    keys = dict(taken.keys)
    text = TEMPLATE.format(
        recipe=RECIPE_FILE,
        domain=_quote(taken.domains[0].name),
        text_set="manual",
        choice_set="quiz",
        domains="\n".join(_taken_lines(taken.domains)),
        evaluation="\n".join(_evaluation_lines(())),
        base=_value(keys.pop("base", "path/to/base-model")),
    )
    for key, value in keys.items():
        text = _set(text, key, value)
    said = [f"# The domains and keys below are those of a configuration of {taken.trainer}."]
    if taken.left_out:
        said += [
            "# It says besides, which is not taken over:",
            *(f"#   {s}" for s in taken.left_out),
        ]
    return "\n".join([*said, "", text])


def _taken_lines(domains: tuple[TakenDomain, ...]) -> Iterator[str]:
    for domain in domains:
        yield f"  {_quote(domain.name)}:"
        for key, value in domain.keys.items():
            yield f"    {key}: {_value(value)}"
    if len(domains) == 1:
        yield "  # A mixture needs a second one: add it, or split this one by `domains_from`."


def _set(text: str, key: str, value: object) -> str:
    """Set a key of the template, which stands there once, commented out or not."""
    section, _, name = key.rpartition(".")
    indent = "  " if section else ""
    start = text.index(f"\n{section}:\n") if section else 0
    line = re.compile(rf"(?m)^{indent}(# )?{name}: .*?(?=  +#|$)")
    return text[:start] + line.sub(
        lambda _: f"{indent}{name}: {_value(value)}", text[start:], count=1
    )


def _value(value: object) -> str:
    """A value as YAML on one line."""
    if isinstance(value, str):
        return _quote(value)
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return str(dumped).removesuffix("...\n").strip()


def _look_at(folder: Path, base: Path | None) -> _Folder:
    """Each data file, and each folder of data or of images, of the folder and its ``data/``."""
    domains: list[_Found] = []
    sets: list[_Found] = []
    left_out: list[str] = []
    names: set[str] = set()
    labelled: dict[str, bool] = {}
    for place in _places(folder):
        files = _data_files(place)
        has_images = is_image_folder(place)
        if not files and not has_images:
            continue
        shown_place = printable(place.relative_to(folder).as_posix())
        kinds = sorted({str(known_format(path.name)) for path in files})
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", place.name.split(".")[0]).strip("-_")[:64] or "d"
        if len(kinds) > 1:
            problem = f"holds files of several formats ({', '.join(kinds)}): name those meant"
        elif holds_control_characters(place.name):
            problem = "its name holds control characters: rename it"
        elif name.lower() in names:
            problem = f"another dataset is named `{name}`: give this one a name of its own"
        else:
            what = Recognised("image") if has_images else _recognise(files)
            problem = what.problem
            if not problem:
                names.add(name.lower())
                patterns = (
                    (place.relative_to(folder).as_posix(),)
                    if has_images
                    else tuple(_patterns(place, files, folder))
                )
                is_document = FORMATS.find(what.records).gives is Document
                chosen = domains if is_document else sets
                chosen.append(_Found(name, patterns, what.records, what.fields))
                if is_document and not has_images:
                    labelled[name] = holds_labels(files[0])
        if problem:
            left_out.append(f"{shown_place}: {problem}")
    images = [domain for domain in domains if domain.records == _IMAGES]
    task = task_of(base, len(images), labelled.values())
    return _fitting(task, domains, sets, left_out)


def _fitting(task: str, domains: list[_Found], sets: list[_Found], left_out: list[str]) -> _Folder:
    """What fits a task; the rest is left out, and that is said."""
    facts = TASKS.find(task)
    chosen = [each for each in domains if (each.records == _IMAGES) == facts.has_images]
    others = [each for each in domains if each not in chosen]
    others += sets if facts.has_labels else []
    said = [f"{printable(each.files[0])}: cannot be with `task: {task}`" for each in others]
    if facts.has_labels:  # the format of the task's records need not be named
        chosen = [_Found(each.name, each.files) for each in chosen]
        sets = []
    return _Folder(tuple(chosen), tuple(sets), (*left_out, *said), task)


def _places(folder: Path) -> Iterator[Path]:
    for parent in (folder, folder / "data"):
        for path in sorted(parent.glob("*")) if parent.is_dir() else []:
            is_model = (path / "config.json").is_file()
            if path not in (folder / "data", folder / RECIPE_FILE) and not is_model:
                yield path


def _data_files(place: Path) -> list[Path]:
    """The data files of a folder, or the file itself; prose is more often about data than data."""
    paths = [place] if place.is_file() else sorted(p for p in place.glob("*") if p.is_file())
    return [
        path
        for path in paths
        if known_format(path.name)
        and is_data_name(path.name)
        and name_parts(path.name)[0] not in _PROSE
    ]


def _recognise(files: list[Path]) -> Recognised:
    try:
        return recognise(files[0])
    except MixwiseError as error:
        if known_format(files[0].name) == "json":  # any program's own file may end in `.json`
            return Recognised(problem=str(error).splitlines()[0])
        return Recognised("text")  # `check` will say what is wrong with the file


def _patterns(place: Path, files: list[Path], folder: Path) -> Iterator[str]:
    path = place.relative_to(folder).as_posix()
    if place.is_file():
        yield path
        return
    for suffix in sorted({"".join(name_parts(file.name)) for file in files}):
        yield f"{glob.escape(path)}/*{suffix}"


def _domain_lines(found: _Folder) -> Iterator[str]:
    for domain in found.domains if len(found.domains) >= 2 else _EXAMPLE:
        yield f"  {_quote(domain.name)}:"
        yield f"    files: {_listed(domain.files)}"
        if domain.records != "text":
            yield f"    records: {domain.records}"
            if domain.parts:
                yield f"    fields: {{{domain.parts}}}"
        elif domain.field != "text":
            yield f"    field: {_quote(domain.field)}"
    if len(found.domains) == 1:
        (only,) = found.domains
        yield f"  # The domains above are examples: {_listed(only.files)} alone was found here."
    for line in found.left_out:
        yield f"  # Left out: {line}"


def _evaluation_lines(sets: tuple[_Found, ...]) -> Iterator[str]:
    if not sets:
        yield "# evaluation:"
        yield SET_EXAMPLE
        yield EVALUATION
        return
    yield "evaluation:"
    yield "  sets:                    # outside the domains"
    for found in sets:
        yield f"    {_quote(found.name)}:"
        yield f"      files: {_listed(found.files)}"
        yield "      kind: choice         # multiple choice by log-likelihood"
        if found.parts:
            yield f"      fields: {{{found.parts}}}"
    yield EVALUATION.replace("#   ", "  # ")


def _listed(files: tuple[str, ...]) -> str:
    quoted = [_quote(file) for file in files]
    return quoted[0] if len(quoted) == 1 else f"[{', '.join(quoted)}]"


def _quote(text: str) -> str:
    is_plain = re.fullmatch(r"[\w./-]+", text) and yaml.safe_load(text) == text
    if is_plain:
        return text
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**6)).strip()
