"""Records of a question and one or several right answers, which a model writes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mixwise.errors import DataError, printable, shown
from mixwise.records.record import QuestionRecord
from mixwise.records.row import FileRow, RowReader, Wanted, pick, require_unicode
from mixwise.records.text import read_text
from mixwise.section import Section


class QuestionFields(Section):
    """Where the parts of a row stand; dots lead into nested objects.

    ``prompt``: a text. ``answer``: a text or number, or a list of them of which each is right.
    ``separator`` is put after the prompt.

    Rows of GSM8K: ``{prompt: question, answer: answer}``; of TriviaQA: ``{prompt: question, answer:
    answer.aliases}``.
    """

    prompt: str = "prompt"
    answer: str = "answer"
    separator: Annotated[str, Field(max_length=100)] = ""


def reader(fields: QuestionFields, key: str) -> RowReader:
    """Reads a question; one without a prompt or an answer is refused."""
    prompt = Wanted(fields.prompt, f"{key}.fields.prompt")
    answer = Wanted(fields.answer, f"{key}.fields.answer")

    def read(row: FileRow) -> QuestionRecord:
        text = read_text(row, prompt)
        if not text:
            raise DataError(
                f"{row.place}: `{printable(prompt.field, 80)}` must be a non-empty text: repair "
                f"the row, or name another field in `{prompt.key}`"
            )
        return QuestionRecord(text + fields.separator, _answers(row, answer), row.place)

    return RowReader((prompt, answer), read)


def _answers(row: FileRow, wanted: Wanted) -> tuple[str, ...]:
    found = pick(row, wanted)
    answers = found if isinstance(found, list) else [found]
    texts = tuple(str(each) for each in answers if _is_answer(each))
    if not texts or len(texts) < len(answers):
        raise DataError(
            f"{row.place}: `{printable(wanted.field, 80)}` must be a non-empty text or a number, "
            f"or a list of them, but got {shown(found)}: repair the row, or name another field in "
            f"`{wanted.key}`"
        )
    for text in texts:
        require_unicode(text, row, wanted)
    return texts


def _is_answer(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number or (isinstance(value, str) and bool(value.strip()))
