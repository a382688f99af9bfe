"""Recognise what the rows of a data file are: text, multiple choice, or what has no way in yet."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.data.formats import format_of
from mixwise.data.rows import read_rows
from mixwise.errors import DataError, printable

_TEXT_FIELDS = ("text", "content", "raw_content", "body", "document", "article")
_ABOUT = re.compile(  # fields of text that are about a row, not the row's own text
    r"(.*_)?(id|uuid|guid|url|uri|source|title|name|lang|language|licen[cs]e|path|file|filename|repo"
    r"|date|timestamp|created|added|author|domain|category|subset|split|hash|meta|metadata)"
)
_CHAT = {
    "messages": "chat rows (`messages`)",
    "conversations": "chat rows (`conversations`)",
    "conversation": "chat rows (`conversation`)",
    "chosen": "pairs of preferences (`chosen`, `rejected`)",
}
_PAIRS = (
    ("instruction", "output"),
    ("instruction", "response"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("question", "response"),
    ("input", "output"),
)
_CHOICES: tuple[Mapping[str, str], ...] = (
    {"prompt": "prompt", "choices": "choices", "answer": "answer"},
    {
        "prompt": "question",
        "choices": "choices.text",
        "answer": "answerKey",
        "labels": "choices.label",
    },
    {"prompt": "ctx", "choices": "endings", "answer": "label"},
    {"prompt": "question", "choices": "choices", "answer": "answer"},
)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file's rows are.

    Args:
        field: Field of the text; None for multiple choice and for what is not supported.
        fields: Where the parts of a multiple-choice row stand; empty for other files.
        problem: Why the file is neither; empty where it is one of them.
    """

    field: str | None = None
    fields: Mapping[str, str] | None = None
    problem: str = ""


def recognise(path: Path) -> Recognised:
    """Look at the first row of a data file.

    Raises:
        DataError: If it cannot be read, or holds no row.
        MissingDependencyError: If the package that reads it is missing.
    """
    kind = format_of(path)
    if kind == "text":
        return Recognised(field="text")
    row = next(itertools.islice(read_rows(path, kind, []), 1), None)
    if row is None:
        raise DataError(f"{printable(str(path))}: holds no row: fill it or remove it")
    values = row.values
    if isinstance(values.get("text"), str):
        return Recognised(field="text")
    for name, what in _CHAT.items():
        if name in values:
            return Recognised(problem=f"{what} are not supported yet")
    for fields in _CHOICES:
        if isinstance(_value(values, fields["choices"]), list) and all(
            _value(values, field) is not None for field in fields.values()
        ):
            return Recognised(fields=fields)
    for pair in _PAIRS:
        if all(isinstance(values.get(name), str) for name in pair):
            return Recognised(
                problem=f"rows of `{pair[0]}` and `{pair[1]}` are not supported yet: join them in "
                "one field"
            )
    texts = [name for name, value in values.items() if isinstance(value, str)]
    known = [name for name in _TEXT_FIELDS if name in texts]
    likely = known[:1] or [name for name in texts if not _ABOUT.fullmatch(name.lower())]
    if len(likely) == 1:
        return Recognised(field=likely[0])
    listed = ", ".join(f"`{printable(name, 40)}`" for name in (likely or list(values))[:8])
    count = "several fields" if likely else "no field"
    return Recognised(problem=f"{count} may be the text ({listed}): name one by `field`")


def _value(values: Any, field: str) -> Any:
    for name in field.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values
