"""Records of multiple choice: a prompt, choices, and which of them is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from mixwise.errors import DataError, printable, shown
from mixwise.records.record import ChoiceRecord
from mixwise.records.row import FileRow, RowReader, Wanted, pick, require_unicode
from mixwise.section import Section

_LONGEST_CHOICE = 10**6  # characters of a prompt or a choice, which is tokenised whole
_KNOWN: tuple[Mapping[str, str], ...] = (
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


class ChoiceFields(Section):
    """Where the parts of a multiple-choice row stand; dots lead into nested objects.

    ``prompt``: a text. ``choices``: a field with two or more texts, or a list of fields with one
    each (``[sol1, sol2]``). ``answer``: the index of the right choice, counted from 0, as a number
    or in digits; or, with ``labels``, one of the texts of that field, which stand in the order of
    the choices. ``separator`` is put between prompt and choice.

    Rows of ARC: ``{prompt: question, choices: choices.text, answer: answerKey, labels:
    choices.label, separator: " "}``; of HellaSwag: ``{prompt: ctx, choices: endings, answer: label,
    separator: " "}``.
    """

    prompt: str = "prompt"
    choices: str | tuple[str, ...] = "choices"
    answer: str = "answer"
    labels: str | None = None
    separator: Annotated[str, Field(max_length=100)] = ""

    @field_validator("choices")
    @classmethod
    def _two_choices(cls, choices: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(choices, tuple) and len(choices) < 2:
            raise ValueError(f"needs two or more fields, but got {shown(choices)}: add one")
        return choices


def reader(fields: ChoiceFields, key: str) -> RowReader:
    """Reads a question; a row that breaks the rules of `ChoiceFields` is refused."""
    several = fields.choices if isinstance(fields.choices, tuple) else (fields.choices,)
    prompt, answer = (
        Wanted(name, f"{key}.fields.{part}")
        for name, part in ((fields.prompt, "prompt"), (fields.answer, "answer"))
    )
    choices = [Wanted(name, f"{key}.fields.choices") for name in several]
    labels = Wanted(fields.labels, f"{key}.fields.labels") if fields.labels else None

    def read(row: FileRow) -> ChoiceRecord:
        texts = _texts(row, choices)
        return ChoiceRecord(
            _prompt(row, prompt),
            tuple(fields.separator + text for text in texts),
            _answer(row, answer, labels, len(texts)),
            row.place,
        )

    return RowReader((prompt, *choices, answer, *([labels] if labels else [])), read)


def recognise(values: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The fields of a row of one of the layouts that data sets have."""
    for fields in _KNOWN:
        if isinstance(_value(values, fields["choices"]), list) and all(
            _value(values, field) is not None for field in fields.values()
        ):
            is_ours = list(fields) == list(fields.values())
            return fields if is_ours else {**fields, "separator": " "}
    return None


def _value(values: Any, field: str) -> Any:
    for name in field.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _prompt(row: FileRow, wanted: Wanted) -> str:
    prompt = pick(row, wanted)
    if not isinstance(prompt, str) or not prompt:
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` must be a non-empty text, but got "
            f"{shown(prompt)}: repair the row, or name another field in `{wanted.key}`"
        )
    _require_text(prompt, row, wanted)
    return prompt


def _texts(row: FileRow, wanted: list[Wanted]) -> list[str]:
    """The choices: the members of one field, or one field each."""
    values = [pick(row, each) for each in wanted]
    texts: Any = values[0] if len(wanted) == 1 else values
    names = ", ".join(printable(each.field, 80) for each in wanted)
    if (
        not isinstance(texts, list)
        or len(texts) < 2
        or not all(isinstance(text, str) and text for text in texts)
    ):
        raise DataError(
            f"{row.place}: `{names}` must be two or more non-empty texts, but got {shown(texts)}: "
            f"repair the row, or name another field in `{wanted[0].key}`"
        )
    for text in texts:
        _require_text(text, row, wanted[0])
    return list(texts)


def _answer(row: FileRow, wanted: Wanted, labels: Wanted | None, n_choices: int) -> int:
    """Index of the right choice: by its label, or as a number or its digits."""
    answer = pick(row, wanted)
    name = printable(wanted.field, 80)
    if labels is not None:
        known = pick(row, labels)
        if not isinstance(known, list) or len(known) != n_choices or known.count(answer) != 1:
            raise DataError(
                f"{row.place}: `{name}` must be one of the {n_choices} labels in "
                f"`{printable(labels.field, 80)}`, but got {shown(answer)} and {shown(known)}: "
                f"repair the row, or name other fields in `{wanted.key}` and `{labels.key}`"
            )
        return known.index(answer)
    index = answer
    if isinstance(answer, str) and answer.isascii() and answer.isdigit() and len(answer) < 5:
        index = int(answer)
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < n_choices:
        raise DataError(
            f"{row.place}: `{name}` must be the index of a choice, from 0 to {n_choices - 1}, but "
            f"got {shown(answer)}: repair the row, name another field in `{wanted.key}`, or name "
            "the field of the choices' labels in `fields.labels`"
        )
    return index


def _require_text(text: str, row: FileRow, wanted: Wanted) -> None:
    if len(text) > _LONGEST_CHOICE:
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` has {len(text):,} characters, more than "
            f"{_LONGEST_CHOICE:,}: shorten it"
        )
    require_unicode(text, row, wanted)
