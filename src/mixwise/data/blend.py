"""Mixture + horizon + seed → one exact, ordered stream of sequences.

Notation:
    λ: shares by tokens, ``(n_domains,)``.  n: sequences of the run.
    aᵢ: sequences that domain i has, or that may be read of it.
    cᵢ: sequences drawn from domain i, Σ cᵢ = n.

Method:
    cᵢ by largest remainder of λᵢ n, so |cᵢ − λᵢ n| < 1: by less than one sequence. Domain i is read
    in epochs: each is a permutation of its aᵢ sequences, seeded by (seed, name, epoch), and the
    last one is cut at cᵢ. The n sequences are then shuffled together, seeded by the seed alone.
    Where fewer of a domain's sequences may be read than it has, they are the same in every run.

Departures:
    Trainers that draw each batch from the domains at random meet λ only in expectation; here the
    counts are exact, because the noise of a draw would be mistaken for an effect of the mixture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixwise.errors import DataError
from mixwise.mixture import Mixture

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """Which sequence stands where in a run.

    Args:
        domains: Names of the domains.
        domain: Index of the domain of each sequence, shape ``(n,)``.
        row: Index of the sequence within its domain, shape ``(n,)``.
        repetitions: Epochs of each domain that the run reads, cᵢ / aᵢ, shape ``(n_domains,)``.
    """

    domains: tuple[str, ...]
    domain: Indices
    row: Indices
    repetitions: tuple[float, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Sequences of each domain, shape ``(n_domains,)``."""
        return tuple(np.bincount(self.domain, minlength=len(self.domains)).tolist())


def allocate(shares: npt.NDArray[np.float64], n: int) -> Indices:
    """Split n sequences by shares, largest remainder first; ties go to the earlier domain.

    Example:
        >>> allocate(np.array([0.5, 0.3, 0.2]), 4).tolist()
        [2, 1, 1]
    """
    exact = shares * n
    counts = np.floor(exact + 1e-6).astype(np.int64)  # 0.3 · 10 is 2.9999… in binary
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: n - int(counts.sum())]] += 1
    return counts


def blend(
    mixture: Mixture,
    n_sequences: int,
    available: Mapping[str, int],
    *,
    seed: int,
    most: Mapping[str, int] | None = None,
) -> Blend:
    """Order the sequences of one run.

    Args:
        mixture: Shares by tokens.
        n_sequences: Sequences of the run, ≥ 1.
        available: Training sequences of each domain.
        seed: Decides the order, and nothing else.
        most: How many sequences of a domain may be read; all where it is not named.

    Returns:
        The same blend for the same arguments, in any process.

    Raises:
        DataError: If a domain with a share has no whole sequence.
    """
    counts = allocate(mixture.array, n_sequences)
    domain = np.repeat(np.arange(len(counts)), counts)
    rows = [np.empty(0, dtype=np.int64)]
    for name, count in zip(mixture.domains, counts.tolist(), strict=True):
        if count and not available[name]:
            raise DataError(
                f"`{name}` has no whole training sequence, but the mixture "
                f"`{mixture}` needs {count}: add data or lower `sequence_length`"
            )
        rows.append(_draw(name, count, _readable(name, available[name], most or {}), seed))
    order = np.random.default_rng(seed).permutation(n_sequences)
    repetitions = tuple(
        count / min(available[name], (most or {}).get(name, available[name])) if count else 0.0
        for name, count in zip(mixture.domains, counts.tolist(), strict=True)
    )
    return Blend(mixture.domains, domain[order], np.concatenate(rows)[order], repetitions)


def _readable(name: str, available: int, most: Mapping[str, int]) -> Indices:
    """The sequences of a domain that may be read, whatever the run's seed."""
    if most.get(name, available) >= available:
        return np.arange(available)
    return np.random.default_rng([_key(name)]).permutation(available)[: most[name]]


def _draw(name: str, count: int, readable: Indices, seed: int) -> Indices:
    epochs = [
        readable[np.random.default_rng([seed, _key(name), epoch]).permutation(len(readable))]
        for epoch in range(-(-count // len(readable)) if count else 0)
    ]
    return np.concatenate([np.empty(0, dtype=np.int64), *epochs])[:count]


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
