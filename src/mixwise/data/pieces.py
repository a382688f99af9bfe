"""Tokens of documents: long texts in pieces, end-of-text tokens, and which tokens are learned.

Method:
    A text of more than 200,000 characters is tokenised in pieces, cut where a line or a word
    begins, so that memory stays bounded; its tokens may differ from those of the whole at a cut.
    The end-of-text token is learned where the last character is; BOS is not. A text that a chat
    template has written brings its own tokens between and behind turns: no end-of-text token comes
    after it, and BOS stands before it once, whether the template writes it or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mixwise.records.record import Document, Span

_BATCH = 256  # pieces of text tokenised together
_PIECE = 200_000  # characters of the longest piece, and of all that are tokenised together


class Tokenizer(Protocol):
    """What a corpus needs of a tokenizer: ids and the byte position where each token ends."""

    @property
    def fingerprint(self) -> str:
        """Hash of the vocabulary and of all rules."""
        ...

    @property
    def end_of_text(self) -> int:
        """The id that joins documents."""
        ...

    @property
    def start_of_text(self) -> int | None:
        """The id that begins every text and every row, or None where none does."""
        ...

    def ids(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Ids of each text."""
        ...

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        """Ids of each text and, for each id, the bytes of text that it adds."""
        ...


@dataclass(frozen=True, slots=True)
class EncodedPiece:
    """The tokens of a document, or of a piece of a long one.

    Args:
        whole: Text of the document, with its last piece; None before that.
        is_empty: Whether the document has nothing to learn, and so no tokens.
        ids: Its tokens, the end-of-text token counted.
        n_bytes: Bytes of text that each adds; empty where nobody asked.
        learned: Whether each is learned, shape ``(n_tokens,)``; empty where nobody asked.
    """

    whole: str | None
    is_empty: bool
    ids: list[int]
    n_bytes: list[int]
    learned: npt.NDArray[np.bool_]


def encode_documents(
    documents: Iterable[Document], tokenizer: Tokenizer, *, with_bytes: bool
) -> Iterator[list[EncodedPiece]]:
    """The pieces of documents in their order, as many at once as are tokenised together.

    Args:
        documents: The documents.
        tokenizer: Makes ids of them.
        with_bytes: Whether bytes and learned tokens are asked for, which takes as long again.
    """
    for batch in _batches(_cut_long(documents)):
        texts = [piece.text for piece in batch if piece.text]
        encoded = iter(tokenizer.encode(texts) if with_bytes else _without_bytes(tokenizer, texts))
        yield [
            _finish(piece, *next(encoded), tokenizer, with_bytes=with_bytes)
            if piece.text
            else EncodedPiece(None, True, [], [], np.empty(0, dtype=bool))
            for piece in batch
        ]


def _without_bytes(
    tokenizer: Tokenizer, texts: Sequence[str]
) -> Iterator[tuple[list[int], list[int]]]:
    return ((ids, []) for ids in tokenizer.ids(texts))


def _finish(
    piece: _Piece, ids: list[int], sizes: list[int], tokenizer: Tokenizer, *, with_bytes: bool
) -> EncodedPiece:
    """Take BOS away where the text does not begin or has it twice; add the end of the text."""
    start = tokenizer.start_of_text
    is_twice = piece.is_rendered and ids[1:2] == [start]
    if start is not None and (not piece.is_first or is_twice):
        ids, sizes = ids[1:], sizes[1:]
    is_ended = piece.whole is None or piece.is_rendered
    end = [] if is_ended else [tokenizer.end_of_text]
    learned = np.empty(0, dtype=bool)
    if with_bytes:
        learned = supervised_tokens(piece.text, sizes, piece.supervised)
        learned = np.append(learned, [piece.ends_supervised] * len(end)).astype(bool)
        sizes = [*sizes, *(0 for _ in end)]
    return EncodedPiece(piece.whole, False, [*ids, *end], sizes, learned)


def document_sizes(
    documents: Iterable[Document], tokenizer: Tokenizer, *, learned: bool
) -> Iterator[int]:
    """Tokens of each document, or those that are learned; 0 of one with nothing to learn."""
    size = 0
    for batch in encode_documents(documents, tokenizer, with_bytes=learned):
        for piece in batch:
            size += int(piece.learned.sum()) if learned else len(piece.ids)
            if piece.is_empty or piece.whole is not None:
                yield size
                size = 0


def supervised_tokens(
    text: str, token_bytes: Sequence[int], spans: Sequence[Span] | None
) -> npt.NDArray[np.bool_]:
    """Which tokens of a text are learned: those that hold a character of a span.

    Args:
        text: The text.
        token_bytes: Bytes of it that each token adds.
        spans: Spans of characters that are learned; None for the whole text.

    Example:
        >>> supervised_tokens("2+2= 4", [0, 3, 1, 2], [(5, 6)]).tolist()
        [False, False, False, True]
    """
    widths = np.asarray(token_bytes, dtype=np.int64)
    ends = np.cumsum(widths)
    # a token of no width is the rest of a character that the one before it has begun
    starts = ends - np.maximum(widths, 1)
    learned = np.zeros(len(ends), dtype=bool)
    for first, last in ((0, len(text)),) if spans is None else spans:
        start = len(text[:first].encode())
        end = start + len(text[first:last].encode())
        learned |= (ends > start) & (starts < end)
    return learned


@dataclass(frozen=True, slots=True)
class _Piece:
    """A text to tokenise; with the last piece of a document comes the document's whole text.

    A document with nothing to learn is one empty piece.
    """

    text: str
    whole: str | None
    is_first: bool = True
    supervised: tuple[Span, ...] | None = None
    is_rendered: bool = False

    @property
    def ends_supervised(self) -> bool:
        """Whether its last character is learned."""
        return self.supervised is None or any(end == len(self.text) for _, end in self.supervised)


def _cut_long(documents: Iterable[Document]) -> Iterator[_Piece]:
    for document in documents:
        text = document.text
        if document.is_empty:
            yield _Piece("", None)
            continue
        start = 0
        while len(text) - start > _PIECE:
            end = _cut_place(text, start, start + _PIECE)
            spans = _within(document.supervised, start, end)
            yield _Piece(text[start:end], None, start == 0, spans, document.is_rendered)
            start = end
        spans = _within(document.supervised, start, len(text))
        yield _Piece(text[start:], text, start == 0, spans, document.is_rendered)


def _within(spans: Sequence[Span] | None, start: int, end: int) -> tuple[Span, ...] | None:
    """The parts of spans that lie in a piece, counted from its beginning."""
    if spans is None:
        return None
    cut = ((max(first, start) - start, min(last, end) - start) for first, last in spans)
    return tuple((first, last) for first, last in cut if first < last)


def _cut_place(text: str, start: int, end: int) -> int:
    r"""Where a piece may end: after the last line, else before the last space, else at the end.

    Example:
        >>> _cut_place("one two\nthree four", 0, 12), _cut_place("one two three", 0, 9)
        (8, 7)
    """
    line = text.rfind("\n", start, end)
    if line > start:
        return line + 1
    space = text.rfind(" ", start + 1, end)
    return space if space > start else end


def _batches(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces that are tokenised together: so many, of so many characters in all."""
    batch: list[_Piece] = []
    size = 0
    for piece in pieces:
        if batch and (len(batch) == _BATCH or size + len(piece.text) > _PIECE):
            yield batch
            batch, size = [], 0
        batch.append(piece)
        size += len(piece.text)
    if batch:
        yield batch
