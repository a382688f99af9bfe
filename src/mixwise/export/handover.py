"""What a trainer has to be told of a recommended mixture, in the units that trainers count in.

Notation:
    λᵢ: share of domain i by tokens.  T: tokens of the final run.  Nᵢ, mᵢ: rows of its files, and
    mean tokens of one.  rᵢ = λᵢ T / mᵢ: rows of the run.  rᵢ / Nᵢ: how often its files are read.

Method:
    A trainer that draws rows gives a domain tokens in proportion to rᵢ mᵢ, so it must be asked for
    rᵢ rows, whatever it calls that: rᵢ itself (a count), rᵢ / Σ r (a share or a probability) or
    rᵢ / Nᵢ (a kept fraction, a multiplier, epochs). mᵢ counts tokens of the study's base, with
    those that end a row, over all rows of the files, those that the study holds out among them,
    since the trainer reads these too. Where a trainer cuts conversations or pairs at the sequence
    length, mᵢ is the mean of rows cut there; texts are packed or split by all of them, so that
    these count whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mixwise.data.formats import Format
from mixwise.recipe import HubDataset

LongRows = Literal["whole", "cut"]  # what a trainer makes of rows beyond the sequence length
TEXT = "text"  # records of which no trainer loses the end


@dataclass(frozen=True, slots=True)
class HandedSource:
    """Where rows of a domain lie, and what they are.

    Args:
        files: Absolute paths; none for a dataset of the hub.
        hub: The dataset; None for files.
        format: Of the files; None for a dataset of the hub.
        records: Name of the record format.
        fields: Where the parts of a record stand, by part; None for a part that there is not.
        learn: Which part is learned.
        where: Values that a row must have to be taken; nothing where all are.
    """

    files: tuple[Path, ...]
    hub: HubDataset | None
    format: Format | None
    records: str
    fields: Mapping[str, Any]
    learn: str
    where: Mapping[str, Any]

    @property
    def file(self) -> Path:
        """The first file."""
        return self.files[0]


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows that a trainer finds in the files of a domain.

    Args:
        n_rows: All of them.
        n_heldout: Those among them that the study measures on and never trains on.
        n_tokens: Tokens of all.
        n_tokens_cut: The same where a row ends at the sequence length.
    """

    n_rows: int
    n_heldout: int
    n_tokens: int
    n_tokens_cut: int

    def mean_tokens(self, long_rows: LongRows) -> float:
        """Tokens of a row."""
        return (self.n_tokens if long_rows == "whole" else self.n_tokens_cut) / self.n_rows


@dataclass(frozen=True, slots=True)
class HandedDomain:
    """A domain of the mixture.

    Args:
        name: Its name.
        share: By tokens, > 0.
        tokens: Of the final run, λ T.
        counts: What its files hold.
        sources: Where its rows come from, in their order.
        has_weights: Whether these are read in proportions of the recipe, and not whole.
    """

    name: str
    share: float
    tokens: float
    counts: RowCounts
    sources: tuple[HandedSource, ...]
    has_weights: bool = False

    @property
    def source(self) -> HandedSource:
        """The first source, of most domains the only one."""
        return self.sources[0]

    @property
    def is_text(self) -> bool:
        """Whether all its rows are texts."""
        return all(source.records == TEXT for source in self.sources)

    def mean_tokens(self, long_rows: LongRows) -> float:
        """Tokens of a row, m; of texts always those of the whole."""
        return self.counts.mean_tokens("whole" if self.is_text else long_rows)

    def rows(self, long_rows: LongRows) -> float:
        """Rows of the final run, r."""
        return self.tokens / self.mean_tokens(long_rows)

    def epochs(self, long_rows: LongRows) -> float:
        """How often its files are read, r / N."""
        return self.rows(long_rows) / self.counts.n_rows

    def factor(self, long_rows: LongRows) -> float:
        """What a trainer multiplies N by, and drops the fraction of, to get r as a whole number.

        A quarter of a row more than that, so that neither digits nor the dropping lose a row.
        """
        return (max(1, round(self.rows(long_rows))) + 0.25) / self.counts.n_rows


@dataclass(frozen=True, slots=True)
class Handover:
    """A recommended mixture, for any trainer.

    Args:
        domains: Those that have a share.
        horizon_tokens: T, of the final run.
        sequence_length: Tokens of a training row.
        batch_sequences: Sequences of a step.
        seed: Of the final run's order.
        base: The base: an absolute path, or its name on the hub.
        revision: Of a base of the hub; None for its newest.
        materialised: Domains that a written file of rows blends, with their shares of its tokens;
            none where the user's own files are handed over.
    """

    domains: tuple[HandedDomain, ...]
    horizon_tokens: int
    sequence_length: int
    batch_sequences: int
    seed: int
    base: str
    revision: str | None = None
    materialised: tuple[HandedDomain, ...] = ()

    @property
    def n_steps(self) -> int:
        """Steps of the final run."""
        return self.horizon_tokens // (self.batch_sequences * self.sequence_length)

    def row_shares(self, long_rows: LongRows) -> dict[str, float]:
        """Share of each domain by rows."""
        rows = {domain.name: domain.rows(long_rows) for domain in self.domains}
        return {name: n / sum(rows.values()) for name, n in rows.items()}

    def row_counts(self, long_rows: LongRows) -> dict[str, int]:
        """Whole rows of each domain, at least one."""
        return {d.name: max(1, round(d.rows(long_rows))) for d in self.domains}
