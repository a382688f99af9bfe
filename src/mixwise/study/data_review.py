"""A look at the data of a recipe: counts of every domain and text set, and rows as trained on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from mixwise.data.statistics import CorpusCounts, SharedRows, count_corpus, count_shared
from mixwise.records.record import Document
from mixwise.study.inputs import Inputs


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row as a model reads it.

    Args:
        name: Its domain or set.
        document: Its text, its place, and which parts of it are learned; without its image.
        size: Width and height of its image in pixels; None of a text.
    """

    name: str
    document: Document
    size: tuple[int, int] | None = None

    @classmethod
    def of(cls, name: str, document: Document) -> ShownRow:
        """The row of a document, as what can be written."""
        size = None if document.image is None else document.image.size
        return cls(name, replace(document, image=None), size)


@dataclass(frozen=True, slots=True)
class DataReview:
    """What the data are like.

    Args:
        sequence_length: Tokens that an overlong row is longer than.
        counts: Of every domain and text set.
        shared: Of every two that hold equal rows.
        rows: The first rows of each of their sources, as many as were asked for.
        has_tokens: Whether rows are texts, which have tokens.
    """

    sequence_length: int
    counts: tuple[CorpusCounts, ...]
    shared: tuple[SharedRows, ...]
    rows: tuple[ShownRow, ...] = ()
    has_tokens: bool = True


def review_data(inputs: Inputs, n_shown: int) -> DataReview:
    """Count the rows of all tokenised sets, and read the first of each.

    Args:
        inputs: The recipe's inputs, found to be sound.
        n_shown: Rows to show of each source; empty ones are passed over.
    """
    corpora = {name: inputs.corpus(name) for name in inputs.recipe.tokenised_sets}
    length = inputs.recipe.row_tokens
    return DataReview(
        length,
        tuple(count_corpus(corpus, length) for corpus in corpora.values()),
        count_shared(corpora),
        tuple(
            ShownRow.of(name, document)
            for name in corpora
            for documents in inputs.documents(name)
            for document in itertools.islice((d for d in documents if not d.is_empty), n_shown)
        ),
        has_tokens=not inputs.recipe.task_facts.has_images,
    )
