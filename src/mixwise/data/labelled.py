"""Labelled examples in the token cache: what texts and images have in common.

Method:
    Each side is a table of examples beside their labels; all is kept in the token cache under the
    hash of everything that it comes from. An example is one unit of a run.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mixwise.data.token_cache import part_folder, save_facts
from mixwise.data.tokenising import CorpusFacts, Sides
from mixwise.errors import DataError, ResourceError, nearest, printable
from mixwise.label_heads import LabelHead
from mixwise.records.record import Document
from mixwise.shortages import explain_failed_write


@dataclass(frozen=True, slots=True)
class SideFacts:
    """What was written of one side.

    Args:
        hashes: Of the documents, in their order.
        lengths: What `statistics` counts of each: tokens of a text, 1 of an image.
        n_empty: Documents that were left out.
        n_bytes: Size of what was read.
    """

    hashes: Sequence[int]
    lengths: Sequence[int]
    n_empty: int
    n_bytes: int


class LabelledEncoder(ABC):
    """Makes what a model reads of documents, and an index of a label.

    Args:
        head: The outputs that answer for the documents.
        rules: All that its encodings depend on besides.
    """

    def __init__(self, head: LabelHead, rules: Sequence[str]) -> None:
        self._head = head
        self._index = dict(zip(head.labels, head.outputs, strict=True))
        self._shared = {name for name, n in Counter(head.labels).items() if n > 1}
        place = [f"from output {head.first}"] if head.first else []
        text = "\0".join([*rules, *head.labels, *place])
        self.fingerprint = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @abstractmethod
    def write_side(
        self,
        folder: Path,
        side: str,
        documents: Iterable[Document],
        counted: Callable[[int], None],
    ) -> SideFacts:
        """Write the files of one side but those of hashes and lengths."""

    @property
    def _owner(self) -> str:
        n = len(self._index)
        return f"the base's {n}" if self._head.domain is None else f"`{self._head.domain}`'s {n}"

    @property
    def _remedy(self) -> str:
        """What else may be meant where one head is for all domains."""
        if self._head.domain is not None:
            return ""
        return "; where domains have labels of their own, set `labels: per-domain`"

    def label(self, document: Document) -> int:
        """Index of a document's label.

        Raises:
            DataError: If the model knows no label of this name, or several; names the row.
        """
        name = document.label or ""
        if name not in self._index:
            raise DataError(
                f"{printable(document.place)}: the label `{printable(name, 80)}` is none of "
                f"{self._owner}: {nearest(name, self._index)}, or correct "
                f"`id2label` of the base's config.json{self._remedy}"
            )
        if name in self._shared:
            raise DataError(
                f"{printable(document.place)}: the label `{printable(name, 80)}` is that of "
                "several outputs of the base: give each a name of its own in `id2label` of its "
                "config.json, and here"
            )
        return self._index[name]


def write_examples(
    target: Path, sides: Sides, encoder: LabelledEncoder, counted: Callable[[int], None]
) -> None:
    """Write both sides into a folder beside the target and move it there when it is whole."""
    try:
        with part_folder(target) as partial:
            train = _write_side(partial, "train", sides.train, encoder, counted)
            heldout = _write_side(partial, "heldout", sides.heldout, encoder, counted)
            facts = CorpusFacts(
                n_documents=len(train.hashes) + len(heldout.hashes),
                n_empty=train.n_empty + heldout.n_empty,
                n_heldout_documents=len(heldout.hashes),
                n_train_tokens=len(train.hashes),
                n_heldout_tokens=len(heldout.hashes),
                n_train_bytes=train.n_bytes,
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
    encoder: LabelledEncoder,
    counted: Callable[[int], None],
) -> SideFacts:
    written = encoder.write_side(folder, side, documents, counted)
    np.save(folder / f"{side}_hashes.npy", np.array(written.hashes, dtype=np.uint64))
    np.save(folder / f"{side}_lengths.npy", np.array(written.lengths, dtype=np.int64))
    return written
