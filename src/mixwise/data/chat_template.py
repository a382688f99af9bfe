"""A tokenizer's chat template: from the turns of a conversation to a text, and what is learned.

Notation:
    W: the whole conversation, rendered.  P: its turns before an answer, rendered with the beginning
    of an answer (``add_generation_prompt``).  F: its turns up to that answer, rendered.

Method:
    Where a template marks what the assistant writes (``{% generation %}``), these marks are taken.
    Most templates mark nothing; then W must begin with P, and the answer is what F has beyond P,
    the token that ends the turn included. A template may close what it takes for the last turn with
    a special token (Phi's); the part of F that W goes on with is then the answer. Templates that
    render an answer otherwise once turns follow (Qwen3 leaves out its thoughts) cannot be taken
    apart so, and are refused by row.
    Templates that write today's date write another text every day; here they write one day's.

Source:
    Assistant masks of transformers (``return_assistant_tokens_mask``) and of TRL's SFTTrainer
    (``assistant_only_loss``), whose training templates need W to begin with P and F too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mixwise.data.tokenizer import BaseTokenizer
from mixwise.errors import CheckpointError, DataError, RecipeError, first_line, printable
from mixwise.records.conversation import Conversation, Turn
from mixwise.records.record import Document, Span

Learn = Literal["assistant", "completion", "all"]
_MARKS = re.compile(r"\{%-?\s*generation\s*-?%\}")
_EXAMPLE = "0123456789"  # an answer that no special token holds
DAY = date(2024, 7, 26)  # Llama's, where nobody tells its template a date
_DATE_CODES = ("%d", "%m", "%Y", "%y", "%B", "%b", "%A", "%a", "%j", "%H", "%M", "%S")


class ChatTemplate:
    """The template of a tokenizer, or one of the user's in its place.

    Args:
        tokenizer: The base's.
        file: A file that holds a Jinja template; None for the tokenizer's own.

    Raises:
        CheckpointError: If the tokenizer has none and no file is given.
        RecipeError: If the file cannot be read.

    Attributes:
        given: The text of the user's; None for the tokenizer's own.
        marks_answers: Whether it marks what the assistant writes.
    """

    def __init__(self, tokenizer: BaseTokenizer, file: Path | None = None) -> None:
        self._tokenizer = tokenizer.tokenizer
        self._special_tokens = self._tokenizer.special_tokens_map
        self.given = None if file is None else _read_template(file)
        self._all = self.given or self._tokenizer.chat_template
        if not self._all:
            raise CheckpointError(
                f"{self._tokenizer.name_or_path}: the tokenizer has no chat template, which "
                "conversations need: name a Jinja file by `chat_template`, or take a base that "
                "has one"
            )
        self.marks_answers = _MARKS.search(str(self._all)) is not None

    @property
    def fingerprint(self) -> str:
        """Hash of all that a rendering depends on beside its conversation."""
        text = f"{self._all}\0{sorted(self._special_tokens.items())}\0{DAY}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def writes_date(self) -> bool:
        """Whether it would write today's date, so that a fixed one stands in its place."""
        return "strftime_now" in str(self._all)

    def render(self, conversation: Conversation, learn: Learn) -> Document:
        """The text of a conversation, and which of its characters are learned.

        Args:
            conversation: Its turns.
            learn: What of them: all turns of the assistant, the last one, or everything.

        Raises:
            DataError: If the template refuses the turns, there is nothing to learn, or what is
                learned cannot be told from the rest; names the row.
            RecipeError: If the template is no valid Jinja.
        """
        turns = conversation.turns
        text, marked = self._render(conversation, turns)
        place = {"file": conversation.file, "line": conversation.line, "is_rendered": True}
        if learn == "all":
            return Document(text, **place)  # type: ignore[arg-type]
        answers = conversation.answers
        if not answers:
            raise DataError(
                f"{conversation.place}: no turn of the assistant, so nothing to learn: remove the "
                "row, or set `learn: all`"
            )
        if learn == "completion":
            answers = answers[-1:]
        first = answers[0] if learn == "completion" else conversation.n_given
        start = len(self._before(conversation, first, text)) if marked and first else 0
        spans = tuple((max(a, start), b) for a, b in marked if b > start)
        if not spans:
            spans = tuple(self._answer(conversation, i, text) for i in answers)
        return Document(text, supervised=spans, **place)  # type: ignore[arg-type]

    def ask(self, conversation: Conversation) -> str:
        """The text of turns after which the assistant's answer begins.

        Raises:
            DataError: If the template refuses the turns; names the row.
            RecipeError: If the template is no valid Jinja.
        """
        return self._render(conversation, conversation.turns, is_asked=True)[0]

    @cached_property
    def end_of_turn(self) -> str | None:
        """The special token that it puts behind an answer; None for one that puts none there."""
        turns = ({"role": "user", "content": "1"}, {"role": "assistant", "content": _EXAMPLE})
        example = Conversation(turns, "an example of a conversation", 1)
        _, _, behind = self._render(example, turns)[0].rpartition(_EXAMPLE)
        found = [token for token in self._tokens if behind.strip().startswith(token)]
        return max(found, key=len, default=None)

    def _answer(self, conversation: Conversation, i: int, text: str) -> Span:
        """Where the answer of turn i stands in the rendered text."""
        start = len(self._before(conversation, i, text))
        until, _ = self._render(conversation, conversation.turns[: i + 1])
        end = len(until) if text.startswith(until) else _common_end(until, text, self._tokens)
        if end <= start or _without(until[end:], self._tokens).strip():
            raise _inseparable(conversation, i)
        return start, end

    def _before(self, conversation: Conversation, i: int, text: str) -> str:
        """What stands before turn i, the beginning of the answer included."""
        before, _ = self._render(conversation, conversation.turns[:i], is_asked=True)
        if not text.startswith(before):
            raise _inseparable(conversation, i)
        return before

    @property
    def _tokens(self) -> list[str]:
        return [str(token) for token in self._tokenizer.added_tokens_decoder.values()]

    def _render(
        self, conversation: Conversation, turns: Sequence[Turn], *, is_asked: bool = False
    ) -> tuple[str, list[Span]]:
        """Some turns as a text, and the spans that the template marks."""
        from jinja2 import TemplateSyntaxError
        from transformers.utils.chat_template_utils import render_jinja_template

        tools = None if conversation.tools is None else [dict(tool) for tool in conversation.tools]
        try:
            [text], marked = render_jinja_template(
                conversations=[[dict(turn) for turn in turns]],
                tools=tools,
                chat_template=self._template(tools),
                return_assistant_tokens_mask=self.marks_answers,
                add_generation_prompt=is_asked,
                **self._special_tokens,
            )
        except TemplateSyntaxError as error:
            raise RecipeError(
                f"`chat_template`: no valid Jinja (line {error.lineno}: {error.message}): correct "
                "the template"
            ) from None
        except Exception as error:  # whatever a template's own code raises
            raise DataError(
                f"{conversation.place}: the chat template refuses the conversation "
                f"({printable(first_line(error))}): repair the row, or give a `chat_template` that "
                "takes it"
            ) from None
        return text, [(start, end) for start, end in marked[0] if start < end] if marked else []

    def _template(self, tools: Any) -> str:
        template = str(self._tokenizer.get_chat_template(self.given, tools))
        return _ONE_DAY + template if "strftime_now" in template else template


def _one_day() -> str:
    """Jinja that shadows ``strftime_now``, so that the same rows give the same text tomorrow."""
    replaced = "".join(f" | replace('{code}', '{DAY.strftime(code)}')" for code in _DATE_CODES)
    # the empty expression keeps a line end that the template begins with
    return (
        f"{{% macro strftime_now(format) %}}{{{{ format{replaced} }}}}{{% endmacro %}}{{{{ '' }}}}"
    )


_ONE_DAY = _one_day()


def _read_template(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"`chat_template`: {file} cannot be read ({first_line(error)}): correct the path"
        ) from None
    if not text.strip():
        raise RecipeError(f"`chat_template`: {file} is empty: give a file with a Jinja template")
    return text


def _common_end(text: str, other: str, tokens: Sequence[str]) -> int:
    """Where the common beginning of two texts ends, and cuts no special token."""
    end = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), 0)
    starts = (
        start
        for token in tokens
        for start in range(max(0, end - len(token) + 1), end)
        if text.startswith(token, start)
    )
    return min(starts, default=end)


def _without(text: str, tokens: Sequence[str]) -> str:
    for token in tokens:
        text = text.replace(token, "")
    return text


def _inseparable(conversation: Conversation, i: int) -> DataError:
    return DataError(
        f"{conversation.place}: the chat template renders turn {i + 1} otherwise in the whole "
        "conversation than at its end, so that the answer cannot be told from the rest: give a "
        "`chat_template` that marks answers by `{% generation %}`, or set `learn` to `completion` "
        "or `all`"
    )
