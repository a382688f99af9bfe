"""Streams of tokens on disk, cut into rows: ids, which of them are learned, where documents begin.

Trainer, exporters and evaluation read rows here, so that they agree on all of it.

Method:
    Documents are laid end to end and rows are cut from that, wherever documents begin. Where those
    of a row must not see each other, positions begin anew at each of them, and at the beginning of
    the row, where a document goes on without what stands before it in the stream; the first token
    of a document is not learned then, as nothing predicts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from mixwise.data.arrays import load_counts
from mixwise.errors import DataError
from mixwise.files import MEMO_FILE, HashMemo

Tokens = npt.NDArray[np.integer]
NOT_LEARNED = -100  # the label that transformers' losses leave out


class CachedFiles(BaseModel):
    """Files of the token cache, as a value that can cross processes.

    Attributes:
        hashes: Hash of the content of each file, by its name; one that is not named is not checked.
    """

    model_config = ConfigDict(frozen=True)

    hashes: dict[str, str] = {}

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is read."""
        raise NotImplementedError

    @property
    def content_hash(self) -> str:
        """Hash of the content of its files; empty where it is not known."""
        return "+".join(self.hashes.get(file.name, "") for file in self.files).strip("+")

    def require_unchanged(self, name: str) -> None:
        """Refuse files whose content is not the one that a run was planned with.

        Args:
            name: The domain, for the error text.

        Raises:
            DataError: Names the first such file.
        """
        for file in self.files:
            expected = self.hashes.get(file.name)
            if expected is not None and HashMemo(file.parent / MEMO_FILE)(file) != expected:
                raise DataError(
                    f"{file}: the cached tokens of `{name}` have changed while they were in use: "
                    "run the same command again; they are made anew"
                )


class TokenStream(CachedFiles):
    """The training side of a domain.

    Attributes:
        ids: File of 32-bit ids.
        mask: File of one byte per token, 0 where it is read and not learned; None where all are
            learned.
        lengths: File of the documents' lengths; None where documents of a row see each other.
    """

    ids: Path
    mask: Path | None = None
    lengths: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All that it is read from."""
        return tuple(file for file in (self.ids, self.mask, self.lengths) if file is not None)

    def n_rows(self, length: int) -> int:
        """Whole rows of this length."""
        return len(map_sequences(self.ids, length))

    def rows(self, length: int, start_of_text: int | None) -> TokenRows:
        """Its rows, mapped from disk.

        Args:
            length: Tokens of a row.
            start_of_text: Token that every row begins with; None for the stream's own.
        """
        mask = None if self.mask is None else cut_rows(map_file(self.mask, np.uint8), length)
        starts = None
        if self.lengths is not None:
            lengths = load_counts(self.lengths)
            starts = np.cumsum(lengths) - lengths
        return TokenRows(map_sequences(self.ids, length), mask, start_of_text, starts)


@dataclass(frozen=True, slots=True, eq=False)
class TokenRows:
    """Rows of a stream, as a model reads them.

    Args:
        ids: Shape ``(n, L)``, mapped from disk.
        mask: 0 where a token is not learned, ``(n, L)``; None where all are.
        start_of_text: Token that takes the first one's place; None for none.
        starts: Where each document begins in the stream, rising; None where documents of a row see
            each other.
    """

    ids: Tokens
    mask: Tokens | None
    start_of_text: int | None
    starts: npt.NDArray[np.int64] | None = None

    def read(self, row: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Ids of a row, and its labels: the ids, or `NOT_LEARNED`; both of shape ``(L,)``.

        Nothing predicts the first token, so that it has no label; nor has that of a document which
        does not see the one before it.
        """
        ids = begin_rows(self.ids[row], self.start_of_text)
        labels = ids.copy() if self.mask is None else np.where(self.mask[row], ids, NOT_LEARNED)
        labels[0] = NOT_LEARNED
        positions = self.positions(row)
        if positions is not None:
            labels[positions == 0] = NOT_LEARNED
        return ids, labels

    def item(self, row: int) -> dict[str, npt.NDArray[np.int64]]:
        """A row as a trainer takes it."""
        ids, labels = self.read(row)
        positions = self.positions(row)
        apart = {} if positions is None else {"position_ids": positions}
        return {"input_ids": ids, "labels": labels, **apart}

    def positions(self, row: int) -> npt.NDArray[np.int64] | None:
        """Place of each token of a row within its document, as far as the row holds it.

        Returns:
            Shape ``(L,)``, 0 where a document or the row begins; None where documents see each
            other, and positions are those of the row.
        """
        if self.starts is None:
            return None
        first, length = row * self.ids.shape[1], self.ids.shape[1]
        places = np.arange(first, first + length)
        begun = self.starts[np.searchsorted(self.starts, places, side="right") - 1]
        return places - np.maximum(begun, first)


def map_sequences(stream: Path, length: int) -> Tokens:
    """Cut a stream of 32-bit ids into whole sequences, shape ``(n, length)``, mapped from disk."""
    return cut_rows(map_file(stream, np.uint32), length)


def begin_rows(tokens: Tokens, start_of_text: int | None) -> npt.NDArray[np.int64]:
    """Rows as a model reads them: each begins with this token, which takes the first one's place.

    The first token of a row is never predicted, so that the predicted ones stay the same.

    Args:
        tokens: Rows that were cut from a stream, shape ``(…, L)``.
        start_of_text: The token; None to leave the rows as they are.

    Example:
        >>> begin_rows(np.array([[5, 6, 7], [8, 9, 5]]), 1).tolist()
        [[1, 6, 7], [1, 9, 5]]
    """
    rows = tokens.astype(np.int64)
    if start_of_text is not None:
        rows[..., 0] = start_of_text
    return rows


def map_file(path: Path, dtype: type[np.integer]) -> Tokens:
    """A file of numbers, mapped from disk; an empty file is an empty array."""
    if path.stat().st_size == 0:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")


def cut_rows(stream: Tokens, length: int) -> Tokens:
    """Cut a stream into whole rows, shape ``(n, length)``; what is left over is dropped."""
    n = len(stream) // length
    return stream[: n * length].reshape(n, length)
