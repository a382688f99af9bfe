"""Streams of tokens on disk, cut into rows: ids, and which of them are learned.

Trainer, exporters and evaluation read rows here, so that they agree on both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from mixwise.errors import DataError
from mixwise.files import MEMO_FILE, HashMemo

Tokens = npt.NDArray[np.integer]
NOT_LEARNED = -100  # the label that transformers' losses leave out


class TokenStream(BaseModel):
    """The training side of a domain, as a value that can cross processes.

    Attributes:
        ids: File of 32-bit ids.
        mask: File of one byte per token, 0 where it is read and not learned; None where all are
            learned.
        hashes: Hash of the content of each file, by its name; one that is not named is not checked.
    """

    model_config = ConfigDict(frozen=True)

    ids: Path
    mask: Path | None = None
    hashes: dict[str, str] = {}

    @property
    def content_hash(self) -> str:
        """Hash of the content of its files; empty where it is not known."""
        files = [self.ids, *([self.mask] if self.mask else [])]
        return "+".join(self.hashes.get(file.name, "") for file in files).strip("+")

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
        return TokenRows(map_sequences(self.ids, length), mask, start_of_text)

    def require_unchanged(self, name: str) -> None:
        """Refuse files whose content is not the one that a run was planned with.

        Args:
            name: The domain, for the error text.

        Raises:
            DataError: Names the first such file.
        """
        for file in (self.ids, self.mask):
            expected = None if file is None else self.hashes.get(file.name)
            if file is None or expected is None:
                continue
            if HashMemo(file.parent / MEMO_FILE)(file) != expected:
                raise DataError(
                    f"{file}: the cached tokens of `{name}` have changed while they were in use: "
                    "run the same command again; they are made anew"
                )


@dataclass(frozen=True, slots=True, eq=False)
class TokenRows:
    """Rows of a stream, as a model reads them.

    Args:
        ids: Shape ``(n, L)``, mapped from disk.
        mask: 0 where a token is not learned, ``(n, L)``; None where all are.
        start_of_text: Token that takes the first one's place; None for none.
    """

    ids: Tokens
    mask: Tokens | None
    start_of_text: int | None

    def read(self, row: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Ids of a row, and its labels: the ids, or `NOT_LEARNED`; both of shape ``(L,)``.

        Nothing predicts the first token, so that it has no label.
        """
        ids = begin_rows(self.ids[row], self.start_of_text)
        labels = ids.copy() if self.mask is None else np.where(self.mask[row], ids, NOT_LEARNED)
        labels[0] = NOT_LEARNED
        return ids, labels


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
