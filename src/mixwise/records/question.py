"""Records of a question and one or several right answers, which a model writes."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from mixwise.errors import DataError, printable, shown
from mixwise.records.conversation import Conversation, read_turns, require_order
from mixwise.records.record import QuestionRecord
from mixwise.records.row import FileRow, RowReader, Wanted, pick, require_unicode
from mixwise.records.text import read_text
from mixwise.section import Section


class QuestionFields(Section):
    """Where the parts of a row stand; dots lead into nested objects.

    ``prompt``: a text. ``answer``: a text or number, or a list of them of which each is right.
    ``separator`` is put after the prompt. ``messages``, in their place: turns, of which the last is
    the assistant's, the right answer, and what stands before it is asked.

    Rows of GSM8K: ``{prompt: question, answer: answer}``; of TriviaQA: ``{prompt: question, answer:
    answer.aliases}``.
    """

    prompt: str = "prompt"
    answer: str = "answer"
    separator: Annotated[str, Field(max_length=100)] = ""
    messages: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _keys_have_an_effect(self) -> Self:
        if self.messages and (self.prompt, self.answer, self.separator) != ("prompt", "answer", ""):
            raise ValueError(
                "`prompt`, `answer` and `separator` have no effect beside `messages`: leave them "
                "out"
            )
        return self


def reader(fields: QuestionFields, key: str) -> RowReader:
    """Reads a question; one without a prompt or an answer is refused."""
    if fields.messages:
        return _turns_reader(Wanted(fields.messages, f"{key}.fields.messages"))
    prompt = Wanted(fields.prompt, f"{key}.fields.prompt")
    answer = Wanted(fields.answer, f"{key}.fields.answer")

    def read(row: FileRow) -> QuestionRecord:
        text = read_text(row, prompt)
        if not text:
            raise DataError(
                f"{row.place}: `{printable(prompt.field, 80)}` must be a non-empty text: repair "
                f"the row, or name another field in `{prompt.key}`"
            )
        asked = text + fields.separator
        turn = {"role": "user", "content": asked}
        conversation = Conversation((turn,), row.file, row.line)
        return QuestionRecord(asked, _answers(row, answer), conversation)

    return RowReader((prompt, answer), read)


def _turns_reader(wanted: Wanted) -> RowReader:
    """Reads turns that end in the right answer."""

    def read(row: FileRow) -> QuestionRecord:
        turns = read_turns(pick(row, wanted), row, wanted)
        require_order(turns, row, wanted)
        *asked, last = turns
        if last["role"] != "assistant" or not last.get("content"):
            raise DataError(
                f"{row.place}: `{printable(wanted.field, 80)}` must end in a text of the "
                f"assistant, the right answer, but ends in a turn of the {last['role']}: repair "
                f"the row, or name another field in `{wanted.key}`"
            )
        if not any(turn["role"] == "user" for turn in asked):
            raise DataError(
                f"{row.place}: `{printable(wanted.field, 80)}` has no turn of a user, so nothing "
                "is asked: repair the row"
            )
        prompt = [turn["content"] for turn in asked if turn["role"] == "user"][-1]
        conversation = Conversation(tuple(asked), row.file, row.line)
        return QuestionRecord(f"{prompt}\n", (last["content"],), conversation)

    return RowReader((wanted,), read)


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
