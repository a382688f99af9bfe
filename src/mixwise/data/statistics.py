"""What the rows of a corpus are like: how many, how long, how much of them is learned, how often.

Method:
    All is counted from the token cache, over both sides. Rows are duplicates where their texts are
    equal but for white space around them, as rows of chats are where all their turns are.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixwise.data.arrays import load_counts
from mixwise.data.corpus import Corpus
from mixwise.data.streams import map_file


@dataclass(frozen=True, slots=True)
class CorpusCounts:
    """The rows of one domain or text set.

    Args:
        name: The domain or set.
        n_rows: Documents, those of both sides.
        n_empty: Documents that were left out, because there is nothing to learn in them.
        n_tokens: Their tokens.
        n_learned_tokens: Those that are learned or measured.
        median_tokens: Median length.
        longest_tokens: Length of the longest.
        n_overlong: Rows of more than ``sequence_length`` tokens.
        n_duplicates: Rows that stand before them already.
    """

    name: str
    n_rows: int
    n_empty: int
    n_tokens: int
    n_learned_tokens: int
    median_tokens: int
    longest_tokens: int
    n_overlong: int
    n_duplicates: int


@dataclass(frozen=True, slots=True)
class SharedRows:
    """Different texts that two corpora both hold."""

    first: str
    second: str
    n_rows: int


def count_corpus(corpus: Corpus, length: int) -> CorpusCounts:
    """Count the rows of a corpus.

    Args:
        corpus: The corpus.
        length: ``sequence_length``, which an overlong row is longer than.
    """
    lengths = np.concatenate([_lengths(corpus, side) for side in ("train", "heldout")])
    n_tokens = int(lengths.sum())
    return CorpusCounts(
        name=corpus.name,
        n_rows=len(lengths),
        n_empty=corpus.facts.n_empty,
        n_tokens=n_tokens,
        n_learned_tokens=_learned(corpus) if corpus.is_partly_supervised else n_tokens,
        median_tokens=int(np.median(lengths)),
        longest_tokens=int(lengths.max()),
        n_overlong=int((lengths > length).sum()),
        n_duplicates=len(lengths) - len(_texts(corpus)),
    )


def count_shared(corpora: Mapping[str, Corpus]) -> tuple[SharedRows, ...]:
    """The texts that each two corpora share, of those that share any."""
    texts = {name: _texts(corpus) for name, corpus in corpora.items()}
    found = (
        SharedRows(first, second, len(np.intersect1d(texts[first], texts[second])))
        for first, second in itertools.combinations(corpora, 2)
    )
    return tuple(pair for pair in found if pair.n_rows)


def _learned(corpus: Corpus) -> int:
    masks = (map_file(corpus.folder / f"{side}_mask.u8", np.uint8) for side in ("train", "heldout"))
    return sum(int(np.count_nonzero(mask)) for mask in masks)


def _texts(corpus: Corpus) -> npt.NDArray[np.uint64]:
    """Hashes of the different texts of both sides."""
    sides = [corpus.document_hashes(heldout=heldout) for heldout in (False, True)]
    return np.unique(np.concatenate(sides))


def _lengths(corpus: Corpus, side: str) -> npt.NDArray[np.int64]:
    return load_counts(corpus.folder / f"{side}_lengths.npy")
