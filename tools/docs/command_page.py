"""The reference of the command line, made from the functions that typer makes commands of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from mixwise.cli.app import app

_HEAD = """\
# The command line

Made by `python -m tools.docs.reference` from the commands themselves. `mixwise COMMAND --help` says
the same. Every command ends with 0 (done), 1 (an error, in one line), 2 (usage), 129, 130 or 143
(stopped by SIGHUP, Ctrl-C or SIGTERM). With `--json`, standard output is one JSON document, and
progress goes to standard error.
"""
_WORDS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument or option of a command.

    Args:
        shown: As it is typed, with what it takes.
        default: In words; empty for a switch and where there is none.
        help: What it does.
        is_option: Whether it begins with dashes.
    """

    shown: str
    default: str
    help: str
    is_option: bool


def render_command_page() -> str:
    """The page, as Markdown."""
    parts = [_HEAD]
    for command in app.registered_commands:
        function = command.callback
        assert function is not None  # a command is registered with its function
        name = command.name or function.__name__.replace("_", "-")
        parts += _section(name, function)
    return "\n".join(parts)


def parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    """What a command takes, in the order of its function."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        annotation, *notes = get_args(hints[name])
        info = next(note for note in notes if isinstance(note, OptionInfo | ArgumentInfo))
        is_option = isinstance(info, OptionInfo)
        default = "" if parameter.default is inspect.Parameter.empty else parameter.default
        shown = _typed(name, annotation, info) if is_option else str(info.metavar)
        yield Parameter(shown, _default(default), " ".join((info.help or "").split()), is_option)


def _section(name: str, function: Callable[..., Any]) -> Iterator[str]:
    found = list(parameters(function))
    arguments = " ".join(each.shown for each in found if not each.is_option)
    yield f"\n## `mixwise {name}`\n"
    yield inspect.getdoc(function) or ""
    yield f"\n```text\nmixwise {name} {arguments} [OPTIONS]\n```\n".replace("  ", " ")
    yield "| | what it does | default |\n|---|---|---|"
    for each in found:
        help_ = each.help.replace("|", "\\|")
        yield f"| `{each.shown}` | {help_} | {each.default} |".replace("STUDY|", "STUDY\\|")


def _typed(name: str, annotation: Any, info: OptionInfo) -> str:
    """An option as it is typed: `--show N`."""
    declared = [info.default, *(info.param_decls or ())]  # typer takes the first for a default
    flags = [each for each in declared if isinstance(each, str) and each.startswith("--")]
    flags = flags or [f"--{name.replace('_', '-')}"]
    kinds = [kind for kind in _leaves(annotation) if kind is not NoneType]
    if bool in kinds:
        return flags[0]
    literal = [value for kind in kinds if isinstance(kind, str) for value in [kind]]
    word = info.metavar or "/".join(literal) or _WORDS[kinds[0]]
    return f"{flags[0]} {word}"


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types, and the values of a `Literal`, that an annotation holds."""
    inner = get_args(annotation)
    if get_origin(annotation) is Literal or not inner:
        yield from inner or (annotation,)
    else:
        for each in inner:
            yield from _leaves(each)


def _default(value: Any) -> str:
    if value is None or value is False or value == "":
        return ""
    return f"`{value}`"
