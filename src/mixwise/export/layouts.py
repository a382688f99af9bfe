"""What written rows look like: as they stand, or what a trainer reads of several kinds of rows.

Rows stay as the user's files have them wherever all are of one kind that the trainer reads. Else
texts, pairs and conversations are written in the layout that trainers share; a conversation stays
one, and is never rendered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mixwise.data.whole_rows import WholeRow
from mixwise.errors import DataError, RecipeError
from mixwise.export.handover import HandedSource, Handover
from mixwise.export.trainers.trainer import Layout, Trainer, is_read_as_it_stands
from mixwise.records.conversation import Conversation, Turn
from mixwise.records.record import Document

KINDS: Mapping[Layout, tuple[str, ...]] = {
    "text": ("text",),
    "prompt-completion": ("prompt-completion",),
    "messages": ("chat", "sharegpt", "alpaca"),
    "sharegpt": ("chat", "sharegpt", "alpaca"),
}
FIELDS: Mapping[Layout, Mapping[str, Any]] = {
    "text": {"text": "text"},
    "prompt-completion": {"prompt": "prompt", "completion": "completion"},
    "messages": {"messages": "messages", "tools": None},
    "sharegpt": {"conversations": "conversations", "system": None},
}
RECORDS: Mapping[Layout, str] = {
    "text": "text",
    "prompt-completion": "prompt-completion",
    "messages": "chat",
    "sharegpt": "sharegpt",
}
_LAYOUTS: tuple[Layout, ...] = ("as it stands", "text", "prompt-completion", "messages")
_SPEAKERS = {
    "system": "system",
    "developer": "system",
    "user": "human",
    "assistant": "gpt",
    "tool": "observation",
}


def choose_layout(handover: Handover, trainer: Trainer | None) -> Layout:
    """The first layout that holds the rows of all domains and that the trainer reads.

    Raises:
        RecipeError: If there is none.
    """
    sources = [source for domain in handover.domains for source in domain.sources]
    layouts = trainer.layouts if trainer else _LAYOUTS
    for layout in layouts:
        if _holds(layout, sources, trainer):
            return layout
    reader = trainer.title if trainer else "one file"
    for source in sources:
        if not any(_holds(layout, [source], trainer) for layout in layouts):
            raise RecipeError(
                f"`export`: {reader} takes no {source.records} records: export the stream of "
                "tokens (`--to stream`)"
            )
    kinds = {source.records for source in sources}
    raise RecipeError(
        f"`export`: {reader} takes no rows that are {' and '.join(sorted(kinds))} records "
        "together: export domains of one kind, or the stream of tokens (`--to stream`)"
    )


def _holds(layout: Layout, sources: Sequence[HandedSource], trainer: Trainer | None) -> bool:
    """Whether a file of this layout has a place for rows of all sources, and is read."""
    first = sources[0]
    if layout == "as it stands":
        alike = all((s.records, s.fields) == (first.records, first.fields) for s in sources)
        return alike and (trainer is None or is_read_as_it_stands(first, trainer.reads))
    return {source.records for source in sources} <= set(KINDS[layout])


def values_of(row: WholeRow, layout: Layout) -> Mapping[str, Any]:
    """The columns of a written row.

    Raises:
        DataError: If a conversation holds what the layout has no place for.
    """
    return _WRITERS[layout](row)


def _text(row: WholeRow) -> Mapping[str, Any]:
    return {"text": row.document.text}


def _pair(row: WholeRow) -> Mapping[str, Any]:
    assert isinstance(row.record, Document)  # pairs are read as documents
    [(start, end)] = row.record.supervised or ((0, len(row.record.text)),)
    return {"prompt": row.record.text[:start], "completion": row.record.text[start:end]}


def _messages(row: WholeRow) -> Mapping[str, Any]:
    talk = _conversation(row)
    tools = {"tools": list(talk.tools)} if talk.tools else {}
    return {"messages": [dict(turn) for turn in talk.turns], **tools}


def _sharegpt(row: WholeRow) -> Mapping[str, Any]:
    talk = _conversation(row)
    turns = [_spoken(turn, talk) for turn in talk.turns]
    tools = {"tools": json.dumps(list(talk.tools), ensure_ascii=False)} if talk.tools else {}
    return {"conversations": turns, **tools}


def _spoken(turn: Turn, talk: Conversation) -> Mapping[str, str]:
    if more := turn.keys() - {"role", "content", "name"}:
        raise DataError(
            f"{talk.place}: a turn has `{sorted(more)[0]}`, for which ShareGPT rows have no place: "
            "remove the row, or hand over to a trainer that reads messages"
        )
    return {"from": _SPEAKERS[turn["role"]], "value": turn["content"]}


def _conversation(row: WholeRow) -> Conversation:
    talk = row.record
    assert isinstance(talk, Conversation)  # the layout is for such records
    given: Sequence[Turn] = talk.turns[: talk.n_given]
    if any(turn["role"] == "assistant" for turn in given):
        raise DataError(
            f"{talk.place}: an answer before the completion is not learned, which a list of "
            "messages cannot say: hand over to a trainer that reads these rows as they stand"
        )
    return talk


_WRITERS: Mapping[Layout, Callable[[WholeRow], Mapping[str, Any]]] = {
    "as it stands": lambda row: row.values,
    "text": _text,
    "prompt-completion": _pair,
    "messages": _messages,
    "sharegpt": _sharegpt,
}
