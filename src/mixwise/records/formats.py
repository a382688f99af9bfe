"""The table of record formats: what a row may be.

A format costs one file, which reads a row, and one row here. Whatever gives documents can be
trained on and be held out; its spans say which tokens are learned. Conversations become documents
by the chat template of the base's tokenizer (`mixwise.data.chat_template`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mixwise.records import (
    alpaca,
    chat,
    choice,
    image,
    labelled,
    prompt_completion,
    question,
    sharegpt,
    text,
)
from mixwise.records.record import ChoiceRecord, Document, QuestionRecord
from mixwise.records.row import RowReader
from mixwise.registry import Table
from mixwise.section import Section


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """A format of records, a row of the table.

    Args:
        name: Name in recipes.
        gives: Type of its records: `Document`, `ChoiceRecord`, or your own. Of conversations,
            what they become.
        fields: The recipe's keys that say where the parts of a record stand; each has a default.
        reader: Makes a reader of rows from these keys and the key path of the source.
        recognise: From the values of a row, the keys that read it; None where it is another format.
            Without it `mixwise init` does not look for the format.
        is_partly_supervised: Whether a part of a document may be read only, and not learned.
        is_chat: Whether its reader gives conversations, which a chat template turns into documents.
        is_image: Whether its documents are images, which folders may hold too, one a label.
    """

    name: str
    gives: type
    fields: type[Section]
    reader: Callable[[Any, str], RowReader]
    recognise: Callable[[Mapping[str, Any]], Mapping[str, str] | None] | None = None
    is_partly_supervised: bool = False
    is_chat: bool = False
    is_image: bool = False

    @property
    def learns(self) -> tuple[str, ...]:
        """What the recipe's ``learn`` may be, the usual first; nothing for what is not trained on.

        ``assistant``: all turns of the assistant; ``completion``: the last of them, or what comes
        after a prompt; ``all``: every token.
        """
        if self.gives is not Document:
            return ()
        if self.is_chat:
            return ("assistant", "completion", "all")
        return ("completion", "all") if self.is_partly_supervised else ("all",)


def _chat(
    name: str,
    fields: type[Section],
    reader: Callable[[Any, str], RowReader],
    recognise: Callable[[Mapping[str, Any]], Mapping[str, str] | None],
) -> RecordFormat:
    return RecordFormat(
        name, Document, fields, reader, recognise, is_partly_supervised=True, is_chat=True
    )


FORMATS: Table[RecordFormat] = Table(
    "record format",
    (
        RecordFormat("text", Document, text.TextFields, text.reader, text.recognise),
        RecordFormat("question", QuestionRecord, question.QuestionFields, question.reader),
        RecordFormat("choice", ChoiceRecord, choice.ChoiceFields, choice.reader, choice.recognise),
        RecordFormat(
            "prompt-completion",
            Document,
            prompt_completion.PromptCompletionFields,
            prompt_completion.reader,
            prompt_completion.recognise,
            is_partly_supervised=True,
        ),
        _chat("chat", chat.ChatFields, chat.reader, chat.recognise),
        _chat("sharegpt", sharegpt.SharegptFields, sharegpt.reader, sharegpt.recognise),
        _chat("alpaca", alpaca.AlpacaFields, alpaca.reader, alpaca.recognise),
        RecordFormat("labelled", Document, labelled.LabelledFields, labelled.reader),
        RecordFormat("image", Document, image.ImageFields, image.reader, is_image=True),
    ),
)


def register_format(row: RecordFormat) -> None:
    """Add a record format of your own, and let recipes name it.

    Args:
        row: The new row.

    Raises:
        RecipeError: If the name is taken.
    """
    FORMATS.add(row)
