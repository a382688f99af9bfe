"""Records of a prompt and a completion, of which the completion alone is learned.

Method:
    Both are joined to one text and tokenised together. A token is learned when it holds a character
    of the completion, so that one which begins in the prompt's last white space is. The separator,
    if any, belongs to the prompt; the end-of-text token after the completion is learned.

Source:
    TRL's prompt-completion data sets and ``completion_only_loss``; of its pairs of preferences, the
    chosen side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from mixwise.records.record import Document
from mixwise.records.row import FileRow, RowReader, Wanted
from mixwise.records.text import read_text
from mixwise.section import Section

_KNOWN = (
    ("prompt", "completion"),
    ("prompt", "chosen"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("question", "response"),
    ("input", "output"),
)
# a row that has one of these besides is no pair: a part of it would be lost
_MORE = ("instruction", "input", "context", "system", "history")


class PromptCompletionFields(Section):
    """Where the parts of a row stand; dots lead into nested objects.

    ``separator`` is put between prompt and completion.
    """

    prompt: str = "prompt"
    completion: str = "completion"
    separator: Annotated[str, Field(max_length=100)] = ""


def reader(fields: PromptCompletionFields, key: str) -> RowReader:
    """Reads a prompt and a completion; both are texts, and a prompt may be empty."""
    prompt = Wanted(fields.prompt, f"{key}.fields.prompt")
    completion = Wanted(fields.completion, f"{key}.fields.completion")

    def read(row: FileRow) -> Document:
        before = read_text(row, prompt) + fields.separator
        text = before + read_text(row, completion)
        return Document(text, row.file, row.line, supervised=((len(before), len(text)),))

    return RowReader((prompt, completion), read)


def recognise(values: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The fields of a row of one of the layouts that data sets have, and of nothing beside them."""
    for pair in _KNOWN:
        if all(isinstance(values.get(name), str) for name in pair) and not any(
            name in values for name in _MORE if name not in pair
        ):
            fields = dict(zip(("prompt", "completion"), pair, strict=True))
            return fields if pair in _KNOWN[:2] else {**fields, "separator": "\n"}
    return None
