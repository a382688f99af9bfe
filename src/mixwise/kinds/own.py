"""The recipe's keys of measures that live in the user's own programs and functions."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from mixwise.objective import Direction, Measure
from mixwise.section import Section

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
MODEL = "{model}"


def _names_model(command: tuple[str, ...]) -> tuple[str, ...]:
    if not any(MODEL in word for word in command):
        raise ValueError(
            f"must hold `{MODEL}`, which becomes the folder of the merged checkpoint: add it"
        )
    return command


def _is_function(name: str) -> str:
    if not _FUNCTION.fullmatch(name):
        raise ValueError(f"must be `module:function`, but got `{name}`: correct it")
    return name


FunctionName = Annotated[str, AfterValidator(_is_function)]
Measures = Annotated[dict[str, Direction], Field(min_length=1)]


class CommandKeys(Section):
    """A program of yours that measures a checkpoint.

    ``command``: the program and its arguments; ``{model}`` becomes the folder of a merged
    checkpoint. It ends by printing one JSON object: a number, or a list of numbers whose mean is
    taken, by the name of each of ``measures``, whose direction stands beside it. It is stopped
    after ``timeout_seconds``.
    """

    command: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_names_model)]
    measures: Measures
    timeout_seconds: Annotated[int, Field(gt=0, le=10**7)] = 3600


class FunctionKeys(Section):
    """A function of yours that measures a model in memory.

    ``function``: ``module:function``, called with model and tokenizer; it returns what a command
    prints, as a dictionary. The module is imported from the recipe's folder or from what is
    installed.
    """

    function: FunctionName
    measures: Measures


def measures_of(keys: CommandKeys | FunctionKeys) -> tuple[Measure, ...]:
    """What a set with these keys measures."""
    return tuple(
        Measure(name, direction, "", "a measure of your own")
        for name, direction in keys.measures.items()
    )
