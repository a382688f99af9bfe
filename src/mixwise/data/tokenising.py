"""Write the tokens of documents into a folder of the cache: two streams, and what is known of them.

Method:
    Both sides are one stream each, documents joined by the end-of-text token
    (`mixwise.data.pieces`). Where a format says which characters are learned, a second file holds
    one byte per token: 1 where the token holds a learned character, 0 where it is read only.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixwise.data.pieces import Tokenizer, encode_documents
from mixwise.data.token_cache import part_folder, save_facts
from mixwise.errors import ResourceError
from mixwise.records.record import Document
from mixwise.shortages import explain_failed_write


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
        n_by_source: Documents of each of several sources that its weights let in; else none.
    """

    n_documents: int
    n_empty: int
    n_heldout_documents: int
    n_train_tokens: int
    n_heldout_tokens: int
    n_train_bytes: int
    n_supervised_train_tokens: int | None = None
    n_by_source: tuple[int, ...] = ()

    @property
    def n_learned_train_tokens(self) -> int:
        """Tokens of the training side that are learned; those that begin a row count with them."""
        learned = self.n_supervised_train_tokens
        return self.n_train_tokens if learned is None else learned

    @property
    def n_train_documents(self) -> int:
        """Documents of the training side."""
        return self.n_documents - self.n_heldout_documents


def parse_facts(values: Mapping[str, Any]) -> CorpusFacts:
    """Facts from what a file of the cache holds."""
    return CorpusFacts(**{**values, "n_by_source": tuple(values.get("n_by_source", ()))})


@dataclass(frozen=True, slots=True)
class Sides:
    """The documents of a corpus.

    Args:
        train: Of the training side.
        heldout: Of the held-out side.
        is_partly_supervised: Whether a part of a document may be read only.
        n_by_source: See `CorpusFacts`.
    """

    train: Iterable[Document]
    heldout: Iterable[Document]
    is_partly_supervised: bool = False
    n_by_source: tuple[int, ...] = ()


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
                n_by_source=sides.n_by_source,
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
        is_heldout = side == "heldout"
        for batch in encode_documents(documents, tokenizer, with_bytes=masked or is_heldout):
            for piece in batch:
                n_empty += piece.is_empty
                np.array(piece.ids, dtype=np.uint32).tofile(ids_file)
                if is_heldout:
                    np.array(piece.n_bytes, dtype=np.uint32).tofile(bytes_file)
                if mask_file is not None:
                    piece.learned.astype(np.uint8).tofile(mask_file)
                    n_supervised += int(piece.learned.sum())
                length += len(piece.ids)
                if piece.whole is not None:
                    hashes.append(hash_text(piece.whole))
                    lengths.append(length)
                    length = 0
                    n_bytes += len(piece.whole.encode())
            counted(sum(piece.whole is not None for piece in batch))
    np.save(folder / f"{side}_hashes.npy", np.array(hashes, dtype=np.uint64))
    np.save(folder / f"{side}_lengths.npy", np.array(lengths, dtype=np.int64))
    return _SideFacts(len(hashes), n_empty, sum(lengths), n_bytes, n_supervised)
