"""Records: what is made of the rows of a file, whatever their format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixwise.records.conversation import Conversation

if TYPE_CHECKING:
    from PIL.Image import Image

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Document:
    """One text, where it stands, and which parts of it are learned.

    Args:
        text: The whole text, as a model reads it; of an image, the hash of its pixels, by which
            it is told from others.
        file: Its file, or the name of its dataset.
        line: Its line (or row), counted from 1; 0 where it is a whole file.
        supervised: Characters that are learned, as spans from the first up to the one after the
            last, in order; the others are read only. None for all of them.
        is_rendered: Whether a chat template has written it, special tokens and all, so that no
            end-of-text token comes after it, and no BOS before it that it brings itself.
        label: Name of its class; None where it has none.
        image: The image, in RGB; None of a text.
    """

    text: str
    file: str
    line: int
    supervised: tuple[Span, ...] | None = None
    is_rendered: bool = False
    label: str | None = None
    image: Image | None = None

    @property
    def place(self) -> str:
        """``file:line``, or the file alone."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def is_empty(self) -> bool:
        """Whether what is learned is white space alone."""
        spans = ((0, len(self.text)),) if self.supervised is None else self.supervised
        return not any(self.text[start:end].strip() for start, end in spans)


@dataclass(frozen=True, slots=True)
class ChoiceRecord:
    """One multiple-choice question.

    Args:
        prompt: What stands before every choice.
        choices: At least two continuations.
        answer: Index of the right one.
        place: ``file:line``.
    """

    prompt: str
    choices: tuple[str, ...]
    answer: int
    place: str

    @property
    def text(self) -> str:
        """The question with its right answer, as it may stand in training data."""
        return self.prompt + self.choices[self.answer]


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """One question that is answered by writing.

    Args:
        prompt: What the model goes on from; of a conversation, what its last user says.
        answers: Right answers; at least one.
        asked: The turns before the answer, for a chat template; of a plain prompt, one user turn.
    """

    prompt: str
    answers: tuple[str, ...]
    asked: Conversation

    @property
    def place(self) -> str:
        """``file:line``."""
        return self.asked.place

    @property
    def is_plain(self) -> bool:
        """Whether the prompt is all that is asked, so that no chat template is needed."""
        first, *more = self.asked.turns
        return not more and first.get("content") == self.prompt

    @property
    def text(self) -> str:
        """The question with its first answer, as it may stand in training data."""
        return self.prompt + self.answers[0]
