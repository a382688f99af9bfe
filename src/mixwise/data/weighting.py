"""Documents of several files in given proportions, for one domain.

Method:
    The next document is of the file that is farthest behind its weight, by characters of text, so
    that any beginning of the stream has about the weights. It ends where the file whose turn it is
    has no more: nothing is read twice here, as the run repeats a whole domain where it must.

Departures:
    Trainers draw files at random, and some repeat the short ones; the ledger of repetitions would
    know nothing of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mixwise.records.record import Document


def interleave(
    readers: Sequence[Iterator[Document]], weights: Sequence[float]
) -> Iterator[Document]:
    """Documents in proportion to weights.

    Args:
        readers: Documents of each file.
        weights: Of each, > 0.

    Example:
        >>> a, b = ([Document(4 * x, x, 1)] * 4 for x in "ab")
        >>> "".join(d.file for d in interleave([iter(a), iter(b)], [3, 1]))
        'abaaab'
    """
    taken = [0] * len(readers)
    while True:
        k = min(range(len(readers)), key=lambda i: taken[i] / weights[i])
        document = next(readers[k], None)
        if document is None:
            return
        taken[k] += len(document.text)
        yield document
