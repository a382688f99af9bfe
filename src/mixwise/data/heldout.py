"""Held-out rows, as a model reads them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mixwise.data.streams import begin_rows


@dataclass(frozen=True, slots=True, eq=False)
class HeldoutRows:
    """Held-out tokens, the bytes of text that each adds, and which of them count.

    Args:
        tokens: Ids, filled with 0 behind the end of a shorter row, shape ``(n, L)``.
        token_bytes: UTF-8 bytes, shape ``(n, L)``.
        supervised: Whether a token is learned, so that it counts; None for all of them. The first
            of a row never counts, since nothing predicts it.
        row_lengths: Tokens of each row, shape ``(n,)``; None where all rows have L.

    Attributes:
        scored: Whether a token counts, shape ``(n, L)``.
    """

    tokens: npt.NDArray[np.int64]
    token_bytes: npt.NDArray[np.int64]
    supervised: npt.NDArray[np.bool_] | None = None
    row_lengths: npt.NDArray[np.int64] | None = None
    scored: npt.NDArray[np.bool_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = self.tokens.shape
        scored = np.ones(shape, bool) if self.supervised is None else self.supervised.copy()
        scored[:, 0] = False
        scored &= np.arange(shape[1]) < self.lengths[:, None]
        object.__setattr__(self, "scored", scored)

    @property
    def is_plain(self) -> bool:
        """Whether all rows have one length and every token that is predicted counts."""
        return self.supervised is None and self.row_lengths is None

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, shape ``(n,)``."""
        if self.row_lengths is not None:
            return self.row_lengths
        return np.full(len(self.tokens), self.tokens.shape[1], dtype=np.int64)

    def beginning_with(self, start_of_text: int | None) -> HeldoutRows:
        """The same rows as a model reads them; see `begin_rows`."""
        tokens = begin_rows(self.tokens, start_of_text)
        return HeldoutRows(tokens, self.token_bytes, self.supervised, self.row_lengths)
