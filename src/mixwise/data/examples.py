"""Labelled texts: tokenised once, one row and one label an example.

Notation:
    n: examples of a side.  W: tokens of the longest example that is read whole.

Method:
    Each side is a table of rows of W tokens, filled with 0 behind the end of a shorter text, beside
    the lengths and the labels; all is kept in the token cache under the hash of everything that it
    comes from. Special tokens are those that the tokenizer puts around one text; of a text of more
    than W tokens the tokenizer's own truncation keeps W, and its length is kept as it was.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixwise.data.streams import CachedFiles, cut_rows, map_file
from mixwise.data.token_cache import part_folder, save_facts
from mixwise.data.tokenising import CorpusFacts, Sides, hash_text
from mixwise.errors import DataError, ResourceError, nearest, printable
from mixwise.records.record import Document
from mixwise.shortages import explain_failed_write

_BATCH = 256  # texts tokenised together


class ExampleEncoder:
    """Makes ids of a text and an index of a label.

    Args:
        tokenizer: The base's, of transformers.
        labels: Names of the model's outputs, in their order.
        width: W.
    """

    def __init__(self, tokenizer: Any, labels: Sequence[str], width: int) -> None:
        self._tokenizer = tokenizer
        self._index = {name: index for index, name in enumerate(labels)}
        self.width = width
        rules = tokenizer.backend_tokenizer.to_str()
        text = "\0".join([rules, "labels", str(width), *labels])
        self.fingerprint = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

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

    def label(self, document: Document) -> int:
        """Index of a document's label.

        Raises:
            DataError: If the model knows no label of this name; names the row.
        """
        name = document.label or ""
        if name not in self._index:
            raise DataError(
                f"{printable(document.place)}: the label `{printable(name, 80)}` is none of the "
                f"base's {len(self._index)}: {nearest(name, self._index)}, or correct `id2label` "
                "of its config.json"
            )
        return self._index[name]


@dataclass(frozen=True, slots=True, eq=False)
class ExampleRows:
    """Examples of one side, mapped from disk.

    Args:
        ids: Shape ``(n, W)``, filled with 0.
        lengths: Tokens of each, shape ``(n,)``.
        labels: Index of the label of each, shape ``(n,)``.
    """

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
            np.minimum(np.load(self.lengths, allow_pickle=False), self.width),
            map_file(self.labels, np.uint32),
        )


def write_examples(
    target: Path, sides: Sides, encoder: ExampleEncoder, counted: Callable[[int], None]
) -> None:
    """Write both sides into a folder beside the target and move it there when it is whole."""
    try:
        with part_folder(target) as partial:
            n_train, n_empty, n_bytes = _write_side(partial, "train", sides.train, encoder, counted)
            n_heldout, n_more, _ = _write_side(partial, "heldout", sides.heldout, encoder, counted)
            facts = CorpusFacts(
                n_documents=n_train + n_heldout,
                n_empty=n_empty + n_more,
                n_heldout_documents=n_heldout,
                n_train_tokens=n_train,
                n_heldout_tokens=n_heldout,
                n_train_bytes=n_bytes,
                n_by_source=sides.n_by_source,
            )
            save_facts(partial, {k: v for k, v in asdict(facts).items() if v is not None})
    except OSError as error:
        raise ResourceError(
            f"the token cache: {explain_failed_write(error, target.parent)}, or set MIXWISE_CACHE "
            "to another folder"
        ) from None


def _write_side(
    folder: Path,
    side: str,
    documents: Iterable[Document],
    encoder: ExampleEncoder,
    counted: Callable[[int], None],
) -> tuple[int, int, int]:
    """Write one side: ids, labels, lengths, hashes.

    Returns:
        Examples, empty ones that are left out, and bytes of text.
    """
    hashes: list[int] = []
    lengths: list[int] = []
    n_empty = n_bytes = 0
    names = (f"{side}.u32", f"{side}_labels.u32")
    with (folder / names[0]).open("wb") as ids_file, (folder / names[1]).open("wb") as labels_file:
        left = iter(documents)
        while batch := list(itertools.islice(left, _BATCH)):
            full = [document for document in batch if not document.is_empty]
            n_empty += len(batch) - len(full)
            encoded = encoder.encode([document.text for document in full])
            for document, (ids, length) in zip(full, encoded, strict=True):
                row = np.zeros(encoder.width, dtype=np.uint32)
                row[: len(ids)] = ids
                row.tofile(ids_file)
                np.array([encoder.label(document)], dtype=np.uint32).tofile(labels_file)
                hashes.append(hash_text(document.text))
                lengths.append(length)
                n_bytes += len(document.text.encode())
            counted(len(full))
    np.save(folder / f"{side}_hashes.npy", np.array(hashes, dtype=np.uint64))
    np.save(folder / f"{side}_lengths.npy", np.array(lengths, dtype=np.int64))
    return len(hashes), n_empty, n_bytes
