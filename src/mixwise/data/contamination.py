"""Test texts that stand in training data: n-grams of words that both hold.

Notation:
    n: words of an n-gram.  A row's *coverage* by a document: the share of its words that lie in an
    n-gram which the document holds too.

Method:
    Texts are compared as words: compatibility forms and case are folded, what is neither letter,
    mark nor digit separates, and each character of a script without spaces is a word. Rows are
    indexed by the hashes of their n-grams; documents are read once, one after the other, and each
    row keeps its largest coverage by one of them. A row of fewer than n words is one n-gram.

Source:
    Lambert et al. 2024 (Tülu 3, arXiv 2411.15124): 8-grams, and rows of which one training row
    covers more than half.

Departures:
    Words instead of a tokenizer's tokens, so that white space, punctuation and case hide nothing.
    Rows of fewer than four words are not judged: they stand everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
_ALONE = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_MARKS = (  # vowels and accents that are no letters to `re`, with the letters of Indic scripts
    r"\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0f71-\u0fbc"
)
_WORD = re.compile(rf"[{_ALONE}]|(?:[^\W_{_ALONE}]+|[{_MARKS}]+)+")
_FEWEST_WORDS = 4
_ODD = np.uint64(0x9E3779B97F4A7C15)  # multiplier of the rolling hash: 2⁶⁴ over the golden ratio


@dataclass(frozen=True, slots=True)
class Passage:
    """A text and where it stands.

    Args:
        text: The text.
        place: ``file:line``.
    """

    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Covered:
    """A row of an evaluation set that a training document covers.

    Args:
        row: Number of the row, from 0.
        place: ``file:line`` of the row.
        coverage: Share of its words, in (0, 1].
        document: ``file:line`` of the document that covers the most.
    """

    row: int
    place: str
    coverage: float
    document: str


def split_words(text: str) -> list[str]:
    r"""The words of a text as they are compared.

    Example:
        >>> split_words("Don't  PANIC,\nit's 2\u00a0o\u2019clock!")
        ['don', 't', 'panic', 'it', 's', '2', 'o', 'clock']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class RowIndex:
    """The n-grams of evaluation rows, to be found in documents.

    Args:
        rows: The rows.
        n: Words of an n-gram, ≥ 1.
    """

    def __init__(self, rows: Sequence[Passage], n: int) -> None:
        self._rows = tuple(rows)
        self._fewest = min(_FEWEST_WORDS, n)
        self._words: dict[str, int] = {}
        self._sizes: list[int] = []
        grams: dict[int, list[tuple[Hashes, int]]] = {}  # by their length
        for number, row in enumerate(rows):
            words = split_words(row.text)
            self._sizes.append(len(words))
            length = min(n, len(words))
            if length >= self._fewest:
                ids = [self._words.setdefault(word, len(self._words) + 1) for word in words]
                grams.setdefault(length, []).append((_hash_grams(ids, length), number))
        self._tables = {length: _Table.of(found) for length, found in sorted(grams.items())}

    @property
    def short_rows(self) -> tuple[int, ...]:
        """Numbers of the rows with too few words to be judged."""
        return tuple(np.flatnonzero(np.array(self._sizes) < self._fewest).tolist())

    def covered_by(self, documents: Iterable[Passage]) -> tuple[Covered, ...]:
        """Rows that a document holds a part of, the most covered first.

        Args:
            documents: Training documents, read once.
        """
        best: dict[int, tuple[float, str]] = {}
        for document in documents:
            for row, coverage in self._coverages(document.text):
                if coverage > best.get(row, (0.0, ""))[0]:
                    best[row] = (coverage, document.place)
        found = (Covered(row, self._rows[row].place, *best[row]) for row in best)
        return tuple(sorted(found, key=lambda each: (-each.coverage, each.row)))

    def _coverages(self, text: str) -> Iterator[tuple[int, float]]:
        """Coverage of every row that has an n-gram in common with a text."""
        ids = [self._words.get(word, 0) for word in split_words(text)]
        for length, table in self._tables.items():
            hashes = _hash_grams(ids, length)
            for row, starts in table.find(hashes).items():
                covered = {start + k for start in starts for k in range(length)}
                yield row, len(covered) / self._sizes[row]


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """N-grams of one length: their hashes in order, with the row and the place of each in it."""

    hashes: Hashes
    rows: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, found: Sequence[tuple[Hashes, int]]) -> _Table:
        hashes = np.concatenate([each for each, _ in found])
        rows = np.concatenate([np.full(len(each), row) for each, row in found])
        starts = np.concatenate([np.arange(len(each)) for each, _ in found])
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], rows[order], starts[order])

    def find(self, hashes: Hashes) -> Mapping[int, list[int]]:
        """Places of the n-grams that a document holds too, by row."""
        held = np.unique(hashes)
        first = np.searchsorted(self.hashes, held)
        last = np.searchsorted(self.hashes, held, side="right")
        by_row: dict[int, list[int]] = {}
        for k in np.flatnonzero(last > first).tolist():
            for place in range(first[k], last[k]):
                by_row.setdefault(int(self.rows[place]), []).append(int(self.starts[place]))
        return by_row


def _hash_grams(ids: Sequence[int], length: int) -> Hashes:
    """Hashes of all n-grams of a text, but of those with a word that no row has (0)."""
    if len(ids) < length:
        return np.empty(0, dtype=np.uint64)
    numbers = np.array(ids, dtype=np.uint64)
    mixed = (numbers + np.uint64(1)) * _ODD
    mixed ^= mixed >> np.uint64(29)
    n = len(ids) - length + 1
    total = np.zeros(n, dtype=np.uint64)
    is_known = np.ones(n, dtype=bool)
    for k in range(length):
        total = total * _ODD + mixed[k : k + n]
        is_known &= numbers[k : k + n] > 0
    total ^= total >> np.uint64(32)
    return np.asarray(total[is_known])
