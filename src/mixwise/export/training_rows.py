"""The rows that a study trains on, as they stand in the user's files, in any order of its sources.

Method:
    A row is on the training side where the hash of its text is not among the held-out ones; its
    number is the place of that hash in the study's stream, whose tokens are counted. Weighted
    sources are read as far as the study read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from mixwise.data.tokenising import hash_text
from mixwise.data.whole_rows import WholeRow, read_whole_rows
from mixwise.errors import DataError
from mixwise.study.session import Workspace


def training_rows(name: str, workspace: Workspace) -> Iterator[tuple[int, WholeRow]]:
    """The rows of a domain's training side, each with its number in the study's order.

    Raises:
        DataError: If they are not those that the study has counted.
    """
    corpus, inputs = workspace.inputs.corpus(name), workspace.inputs
    heldout: frozenset[int] = frozenset()
    if not workspace.recipe.domains[name].heldout_files:
        heldout = frozenset(corpus.document_hashes(heldout=True).tolist())
    numbers = _Numbers(corpus.document_hashes(heldout=False))
    for k, portion in enumerate(inputs.portions(name)):
        rows = read_whole_rows(portion, inputs.settings.recipe_folder, inputs.chat_of(name))
        filled = (row for row in rows if not row.document.is_empty)
        limits = corpus.facts.n_by_source
        for row in islice(filled, limits[k]) if limits else filled:
            text = hash_text(row.document.text)
            if text not in heldout:
                yield numbers.next(text, row.document.place), row
    numbers.require_all(name)


class _Numbers:
    """Numbers of rows by the hash of their text; of equal texts one after the other."""

    def __init__(self, hashes: npt.NDArray[np.uint64]) -> None:
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]
        self._taken = np.zeros(len(hashes), dtype=np.int64)
        self._n_taken = 0

    def next(self, text: int, place: str) -> int:
        first = int(np.searchsorted(self._sorted, np.uint64(text)))
        at = first + int(self._taken[first]) if first < len(self._sorted) else first
        if at >= len(self._sorted) or int(self._sorted[at]) != text:
            raise DataError(
                f"{place}: the row was not there when the study counted tokens: run `mixwise run` "
                "again"
            )
        self._taken[first] += 1
        self._n_taken += 1
        return int(self._order[at])

    def require_all(self, name: str) -> None:
        if self._n_taken < len(self._order):
            raise DataError(
                f"`domains.{name}`: {len(self._order) - self._n_taken:,} rows that the study "
                "counted are gone: run `mixwise run` again"
            )
