"""Write the tokens of documents into a folder of the cache: two streams, and what is known of them.

Method:
    Both sides are one stream each, documents joined by the end-of-text token. A text of more than
    200,000 characters is tokenised in pieces, cut where a line or a word begins, so that memory
    stays bounded; its tokens may differ from those of the whole at a cut.
    Where a format says which characters are learned, a second file holds one byte per token: 1
    where the token holds a learned character, 0 where it is read only. The end-of-text token is
    learned where the last character is; BOS is not. A text that a chat template has written brings
    its own tokens between and behind turns: no end-of-text token comes after it, and BOS stands
    before it once, whether the template writes it or not.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mixwise.data.token_cache import part_folder, save_facts
from mixwise.errors import ResourceError
from mixwise.records.record import Document, Span
from mixwise.shortages import explain_failed_write

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
class CorpusFacts:
    """What is known of a corpus without opening its tokens.

    Args:
        n_documents: Documents on both sides.
        n_empty: Documents left out because they hold white space alone.
        n_heldout_documents: Documents of the held-out side.
        n_train_tokens: Tokens of the training side, end-of-text tokens counted.
        n_heldout_tokens: The same of the held-out side.
        n_train_bytes: UTF-8 bytes of the training side.
        n_supervised_train_tokens: Tokens of the training side that are learned; None for all.
    """

    n_documents: int
    n_empty: int
    n_heldout_documents: int
    n_train_tokens: int
    n_heldout_tokens: int
    n_train_bytes: int
    n_supervised_train_tokens: int | None = None

    @property
    def n_learned_train_tokens(self) -> int:
        """Tokens of the training side that are learned; those that begin a row count with them."""
        learned = self.n_supervised_train_tokens
        return self.n_train_tokens if learned is None else learned

    @property
    def n_train_documents(self) -> int:
        """Documents of the training side."""
        return self.n_documents - self.n_heldout_documents


@dataclass(frozen=True, slots=True)
class Sides:
    """The documents of a corpus.

    Args:
        train: Of the training side.
        heldout: Of the held-out side.
        is_partly_supervised: Whether a part of a document may be read only.
    """

    train: Iterable[Document]
    heldout: Iterable[Document]
    is_partly_supervised: bool = False


def hash_text(text: str) -> int:
    """Hash by which texts are told apart, white space around them left out."""
    return int.from_bytes(hashlib.blake2b(text.strip().encode(), digest_size=8).digest(), "big")


def write_corpus(
    target: Path, sides: Sides, tokenizer: Tokenizer, counted: Callable[[int], None]
) -> None:
    """Write both sides into a folder beside the target and move it there when it is whole."""
    try:
        with part_folder(target) as partial:
            masked = sides.is_partly_supervised
            train = _write_side(partial, "train", sides.train, tokenizer, counted, masked=masked)
            heldout = _write_side(
                partial, "heldout", sides.heldout, tokenizer, counted, masked=masked
            )
            facts = CorpusFacts(
                n_documents=train.n_documents + heldout.n_documents,
                n_empty=train.n_empty + heldout.n_empty,
                n_heldout_documents=heldout.n_documents,
                n_train_tokens=train.n_tokens,
                n_heldout_tokens=heldout.n_tokens,
                n_train_bytes=train.n_bytes,
                n_supervised_train_tokens=train.n_supervised if masked else None,
            )
            known = {key: value for key, value in asdict(facts).items() if value is not None}
            save_facts(partial, known)
    except OSError as error:
        raise ResourceError(
            f"the token cache: {explain_failed_write(error, target.parent)}, or set MIXWISE_CACHE "
            "to another folder"
        ) from None


@dataclass(frozen=True, slots=True)
class _SideFacts:
    n_documents: int
    n_empty: int
    n_tokens: int
    n_bytes: int
    n_supervised: int


def _write_side(
    folder: Path,
    side: str,
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    counted: Callable[[int], None],
    *,
    masked: bool,
) -> _SideFacts:
    """Write one side: ids; bytes where it is held out; a mask where not all is learned."""
    hashes: list[int] = []
    lengths: list[int] = []
    n_empty = n_bytes = n_supervised = 0
    with contextlib.ExitStack() as stack:
        ids_file, bytes_file = (
            stack.enter_context((folder / f"{side}{name}.u32").open("wb"))
            for name in ("", "_bytes")
        )
        mask_file = stack.enter_context((folder / f"{side}_mask.u8").open("wb")) if masked else None
        length = 0
        for batch in _batches(_cut_long(documents)):
            encoded = _encode(
                [piece.text for piece in batch if piece.text],
                tokenizer,
                with_bytes=masked or side == "heldout",
            )
            for piece in batch:
                if not piece.text:
                    n_empty += 1
                    continue
                ids, sizes = next(encoded)
                if (
                    tokenizer.start_of_text is not None
                    and (
                        not piece.is_first  # the text does not begin here
                        or (piece.is_rendered and ids[1:2] == [tokenizer.start_of_text])
                    )
                ):
                    ids, sizes = ids[1:], sizes[1:]
                is_ended = piece.whole is None or piece.is_rendered
                end = [] if is_ended else [tokenizer.end_of_text]
                np.array([*ids, *end], dtype=np.uint32).tofile(ids_file)
                if side == "heldout":
                    np.array([*sizes, *(0 for _ in end)], dtype=np.uint32).tofile(bytes_file)
                if mask_file is not None:
                    mask = supervised_tokens(piece.text, sizes, piece.supervised)
                    mask = np.append(mask, [piece.ends_supervised] * len(end)).astype(np.uint8)
                    mask.tofile(mask_file)
                    n_supervised += int(mask.sum())
                length += len(ids) + len(end)
                if piece.whole is not None:
                    hashes.append(hash_text(piece.whole))
                    lengths.append(length)
                    length = 0
                    n_bytes += len(piece.whole.encode())
            counted(sum(piece.whole is not None for piece in batch))
    np.save(folder / f"{side}_hashes.npy", np.array(hashes, dtype=np.uint64))
    np.save(folder / f"{side}_lengths.npy", np.array(lengths, dtype=np.int64))
    return _SideFacts(len(hashes), n_empty, sum(lengths), n_bytes, n_supervised)


def _encode(
    texts: Sequence[str], tokenizer: Tokenizer, *, with_bytes: bool
) -> Iterator[tuple[list[int], list[int]]]:
    """Ids of each text, and the bytes that each adds, which take as long again, where wanted."""
    if with_bytes:
        return iter(tokenizer.encode(texts))
    return ((ids, []) for ids in tokenizer.ids(texts))


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
