"""Which rows a run reads, and in which order: exact to the row.

Notation:
    ℓⱼ: tokens of row j of a domain.  L = Σ ℓ.  τ = λ T: tokens that the domain should give.

Method:
    A domain is read in epochs, each a permutation of its rows, seeded by (seed, name, epoch).
    ⌊τ / L⌋ of them are whole; of the last, as many rows are read as come closest to τ in tokens, so
    that a domain is off by half of one row at most. Then the domains are shuffled among each
    other, seeded by the seed alone; rows of a domain keep the order of its epochs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ChosenRows:
    """The rows of a run.

    Args:
        domains: Names of the domains.
        domain: Index of the domain of each row, shape ``(n,)``.
        row: Index of the row within its domain, shape ``(n,)``.
    """

    domains: tuple[str, ...]
    domain: Indices
    row: Indices

    def rows_of(self, name: str) -> Indices:
        """Rows of one domain, in their order."""
        return self.row[self.domain == self.domains.index(name)]


def choose_rows(lengths: Indices, tokens: float, name: str, seed: int) -> Indices:
    """Rows of one domain whose tokens come closest to a number.

    Args:
        lengths: Tokens of each row, shape ``(n,)``, > 0.
        tokens: What they should give.
        name: Of the domain, which seeds its order.
        seed: Of the run.

    Example:
        >>> len(choose_rows(np.array([4, 4, 4]), 21.0, "a", 1))
        5
    """
    n_epochs = int(tokens // int(lengths.sum()))
    epochs = [
        np.random.default_rng([seed, _key(name), epoch]).permutation(len(lengths))
        for epoch in range(n_epochs + 1)
    ]
    read = np.concatenate([[0], np.cumsum(lengths[epochs[-1]])])
    rest = tokens - n_epochs * int(lengths.sum())
    epochs[-1] = epochs[-1][: int(np.argmin(np.abs(read - rest)))]
    return np.concatenate(epochs)


def order_rows(chosen: Mapping[str, Indices], seed: int) -> ChosenRows:
    """Shuffle the domains among each other.

    Args:
        chosen: Rows of each domain, in its order.
        seed: Of the run.
    """
    counts = [len(rows) for rows in chosen.values()]
    domain = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    row = np.empty(len(domain), dtype=np.int64)
    for k, rows in enumerate(chosen.values()):
        row[domain == k] = rows
    return ChosenRows(tuple(chosen), domain, row)


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
