"""Labelled texts: tokenised once, one row and one label an example.

Notation:
    n: examples of a side.  W: tokens of the longest example that is read whole.

Method:
    Each side is a table of rows of W tokens, filled with 0 behind the end of a shorter text, beside
    the lengths and the labels. Special tokens are those that the tokenizer puts around one text; of
    a text of more than W tokens the tokenizer's own truncation keeps W, and its length is kept as
    it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mixwise.data.arrays import load_counts
from mixwise.data.labelled import LabelledEncoder, SideFacts
from mixwise.data.streams import CachedFiles, cut_rows, map_file
from mixwise.data.tokenising import hash_text
from mixwise.label_heads import LabelHead
from mixwise.records.record import Document

_BATCH = 256  # texts tokenised together


class ExampleEncoder(LabelledEncoder):
    """Makes ids of a text and an index of a label.

    Args:
        tokenizer: The base's, of transformers.
        head: The outputs that answer for the texts.
        width: W.
    """

    def __init__(self, tokenizer: Any, head: LabelHead, width: int) -> None:
        rules = (tokenizer.backend_tokenizer.to_str(), "labels", str(width))
        side = str(tokenizer.truncation_side)  # of which the backend's rules say nothing
        super().__init__(head, rules if side == "right" else (*rules, side))
        self._tokenizer = tokenizer
        self.width = width

    @property
    def layout(self) -> ExampleLayout:
        """Rows of W tokens."""
        return ExampleLayout(self.width)

    def encode(self, texts: Sequence[str]) -> list[tuple[list[int], int]]:
        """Ids of each text, special tokens included, and how many they were before the cut."""
        whole: list[list[int]] = self._tokenizer(list(texts), verbose=False)["input_ids"]
        return [
            (ids if len(ids) <= self.width else self._cut(text), len(ids))
            for text, ids in zip(texts, whole, strict=True)
        ]

    def _cut(self, text: str) -> list[int]:
        encoded = self._tokenizer(text, truncation=True, max_length=self.width)
        ids: list[int] = encoded["input_ids"]
        return ids

    def write_side(
        self,
        folder: Path,
        side: str,
        documents: Iterable[Document],
        counted: Callable[[int], None],
    ) -> SideFacts:
        """Write ids and labels."""
        hashes: list[int] = []
        lengths: list[int] = []
        n_empty = n_bytes = 0
        names = (folder / f"{side}.u32", folder / f"{side}_labels.u32")
        with names[0].open("wb") as ids_file, names[1].open("wb") as labels_file:
            left = iter(documents)
            while batch := list(itertools.islice(left, _BATCH)):
                full = [document for document in batch if not document.is_empty]
                n_empty += len(batch) - len(full)
                encoded = self.encode([document.text for document in full])
                for document, (ids, length) in zip(full, encoded, strict=True):
                    row = np.zeros(self.width, dtype=np.uint32)
                    row[: len(ids)] = ids
                    row.tofile(ids_file)
                    np.array([self.label(document)], dtype=np.uint32).tofile(labels_file)
                    hashes.append(hash_text(document.text))
                    lengths.append(length)
                    n_bytes += len(document.text.encode())
                counted(len(full))
        return SideFacts(hashes, lengths, n_empty, n_bytes)


@dataclass(frozen=True, slots=True)
class ExampleLayout:
    """Rows of W tokens, their labels and the lengths of their texts."""

    width: int

    def stream(self, folder: Path, side: str, files: Mapping[str, str]) -> ExampleStream:
        """The examples of one side, by the hashes of the folder's files."""
        names = (f"{side}.u32", f"{side}_labels.u32", f"{side}_lengths.npy")
        ids, labels, lengths = (folder / name for name in names)
        hashes = {name: files[name] for name in names}
        return ExampleStream(
            ids=ids, labels=labels, lengths=lengths, width=self.width, hashes=hashes
        )


@dataclass(frozen=True, slots=True, eq=False)
class ExampleRows:
    """Examples of one side, mapped from disk.

    Args:
        ids: Shape ``(n, W)``, filled with 0.
        lengths: Tokens of each, shape ``(n,)``.
        labels: Index of the label of each, shape ``(n,)``.
    """

    pixels: ClassVar[None] = None

    ids: npt.NDArray[np.integer]
    lengths: npt.NDArray[np.int64]
    labels: npt.NDArray[np.integer]

    def item(self, row: int) -> dict[str, npt.NDArray[np.int64]]:
        """One example as a model reads it."""
        return {
            "input_ids": self.ids[row].astype(np.int64),
            "attention_mask": (np.arange(self.ids.shape[1]) < self.lengths[row]).astype(np.int64),
            "labels": np.array(self.labels[row], dtype=np.int64),
        }

    def row_ids(self, row: int) -> npt.NDArray[np.int64]:
        """Tokens of one example."""
        return self.ids[row, : self.lengths[row]].astype(np.int64)

    @property
    def hashed(self) -> tuple[npt.NDArray[Any], ...]:
        """All that the examples are told from others by."""
        return (self.ids, self.lengths, self.labels)

    def chosen(self, rows: npt.NDArray[np.int64]) -> ExampleRows:
        """Some of the examples."""
        return ExampleRows(self.ids[rows], self.lengths[rows], self.labels[rows])


class ExampleStream(CachedFiles):
    """One side of a labelled domain.

    Attributes:
        ids: File of 32-bit ids, W an example.
        labels: File of 32-bit labels.
        lengths: File of the texts' lengths, which may be more than W.
        width: W.
    """

    ids: Path
    labels: Path
    lengths: Path
    width: int

    @property
    def files(self) -> tuple[Path, ...]:
        """All that it is read from."""
        return (self.ids, self.labels, self.lengths)

    def n_rows(self, length: int) -> int:
        """Examples; each is one unit long."""
        return len(map_file(self.labels, np.uint32)) // length

    def rows(self, length: int, start_of_text: int | None) -> ExampleRows:
        """Its examples, mapped from disk; each is one unit long, with special tokens of its own."""
        assert length == 1, "an example is one unit"
        assert start_of_text is None, "the tokenizer puts its own special tokens"
        return ExampleRows(
            cut_rows(map_file(self.ids, np.uint32), self.width),
            np.minimum(load_counts(self.lengths), self.width),
            map_file(self.labels, np.uint32),
        )
