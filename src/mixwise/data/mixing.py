"""Documents of several sources in given proportions, for one domain.

Notation:
    wₖ: weight of source k, > 0.  tₖ: what was read of it so far, in the unit of the recipe's
    shares: tokens, learned tokens or documents.

Method:
    The next document is of the source with the smallest tₖ / wₖ, so that any beginning of the
    stream has about the weights. It ends where the source whose turn it is has no more: nothing is
    read twice here, as the run repeats a whole domain where it must. Sizes are counted once, by
    tokenising, and the order is kept as one number a document, which every later reading follows.

Departures:
    Trainers draw sources at random, and some repeat the short ones; the ledger of repetitions would
    know nothing of that.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixwise.data.labelled import LabelledEncoder
from mixwise.data.pieces import Tokenizer, document_sizes
from mixwise.errors import DataError
from mixwise.records.record import Document
from mixwise.share_units import ShareUnit

Readers = Callable[[], Sequence[Iterator[Document]]]


@dataclass(frozen=True, slots=True)
class Order:
    """Which source each document of a domain comes from, one after the other.

    Args:
        sources: Index of the source of each document, shape ``(n_documents,)``.
        n_by_source: Documents of each source that are read, empty ones left out.
    """

    sources: npt.NDArray[np.uint16]
    n_by_source: tuple[int, ...]

    def follow(self, readers: Sequence[Iterator[Document]]) -> Iterator[Document]:
        """The documents, from readers that begin anew.

        Raises:
            DataError: If a source has fewer than when its documents were counted.
        """
        for k in self.sources.tolist():
            document = next(readers[k], None)
            if document is None:
                raise DataError("a source changed while it was read: run the command again")
            yield document


def order_by_weights(sizes: Sequence[Iterator[int]], weights: Sequence[float]) -> Order:
    """The order in which sources have their weights at any time.

    Args:
        sizes: Of the documents of each source, in the unit that weights count; 0 of empty ones.
        weights: Of each source, > 0.

    Example:
        >>> order_by_weights([iter([4, 4, 4, 4]), iter([4, 4, 4, 4])], [3, 1]).sources.tolist()
        [0, 1, 0, 0, 0, 1]
    """
    taken = [0] * len(sizes)
    counts = [0] * len(sizes)
    order = array("H")
    while True:
        k = min(range(len(sizes)), key=lambda i: taken[i] / weights[i])
        size = next(sizes[k], None)
        if size is None:
            return Order(np.array(order, dtype=np.uint16), tuple(counts))
        taken[k] += size
        counts[k] += size > 0
        order.append(k)


def sizes_by_unit(
    documents: Iterable[Document], tokenizer: Tokenizer | LabelledEncoder, unit: ShareUnit
) -> Iterator[int]:
    """What each document counts: its tokens, those that are learned, or 1; empty ones count 0.

    Args:
        documents: The documents.
        tokenizer: Makes their tokens; of labelled examples each counts 1, whatever the unit.
        unit: Of the recipe's shares.
    """
    if unit == "rows" or isinstance(tokenizer, LabelledEncoder):
        return (int(not document.is_empty) for document in documents)
    return document_sizes(documents, tokenizer, learned=unit == "supervised_tokens")


def mix(
    readers: Readers,
    weights: Sequence[float],
    tokenizer: Tokenizer | LabelledEncoder,
    unit: ShareUnit,
) -> tuple[Callable[[], Iterator[Document]], tuple[int, ...]]:
    """Documents of sources, mixed by weights or one source after the other.

    Args:
        readers: Opens all sources from their beginning.
        weights: Of each; empty to read all of them, as one alone is.
        tokenizer: See `sizes_by_unit`.
        unit: What weights count.

    Returns:
        A function that reads them from the beginning, and the documents of each source that are
        read; none where all of them are.
    """
    if len(weights) < 2:
        return lambda: itertools.chain.from_iterable(readers()), ()
    sizes = [sizes_by_unit(documents, tokenizer, unit) for documents in readers()]
    order = order_by_weights(sizes, weights)
    return lambda: order.follow(readers()), order.n_by_source
