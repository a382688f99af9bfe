"""The base model's tokenizer, as a corpus needs it, and the token that begins every row.

Method:
    A model that was trained on rows that begin with a token of their own (BOS) reads other rows
    badly: Gemma's loss without it is absurd. With BOS every document is BOS, text, end of text; and
    every row of tokens, trained on or evaluated, begins with BOS: in a row that is cut from the
    middle of a document it takes the first token's place, which nothing predicts. So the same
    tokens are predicted with BOS and without, training and evaluation see the same kind of rows,
    and BOS, which adds no bytes, leaves bits per byte comparable. Where one token is both BOS and
    end of text, it stands twice between documents.

    ``auto`` does as the tokenizer does with plain text, which is what trainers do that call it on a
    document; and gives Gemma its BOS even where its tokenizer's files were saved without.

Source:
    EleutherAI's lm-evaluation-harness: ``add_bos_token``, which Gemma always gets.

Departures:
    Trainers that pack documents put no BOS at the beginning of a row that is cut from the middle of
    one. An evaluation of such rows would measure the want of it and not the domain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mixwise.errors import CheckpointError, RecipeError, first_line

Bos = Literal["auto", "always", "never"]
_NEEDS_BOS = "gemma"  # in the name of the architecture


class BaseTokenizer:
    """A fast Hugging Face tokenizer without padding, truncation or special tokens but BOS.

    Args:
        folder: Folder of the base model.
        trust_remote_code: Whether code from that folder may run.
        bos: Whether documents and rows begin with BOS; ``auto`` as the tokenizer and the
            architecture want it.
        architecture: The model's type, as config.json names it.
        joins_documents: Whether documents become one stream, which takes an end-of-text token.

    Raises:
        CheckpointError: If the folder holds no fast tokenizer, or it names no end-of-text token.
        RecipeError: If BOS is asked for and the tokenizer names none.

    Attributes:
        start_of_text: The id of BOS where rows begin with it, else None.
    """

    def __init__(
        self,
        folder: Path,
        *,
        trust_remote_code: bool = False,
        bos: Bos = "auto",
        architecture: str = "",
        joins_documents: bool = True,
    ) -> None:
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        except Exception as error:  # `tokenizers` raises bare exceptions
            reason = first_line(error)
            raise CheckpointError(
                f"{folder}: the tokenizer cannot be loaded ({reason}): put the "
                "base model's tokenizer files there"
            ) from None
        if not getattr(tokenizer, "is_fast", False):
            raise CheckpointError(
                f"{folder}: needs a fast tokenizer (tokenizer.json), which tells "
                "where each token stands in the text: convert it with transformers"
            )
        if joins_documents and tokenizer.eos_token_id is None:
            raise CheckpointError(
                f"{folder}: the tokenizer names no end-of-text token "
                "(`eos_token`): set it in tokenizer_config.json"
            )
        self.folder = folder
        self.tokenizer: Any = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_padding()
        self._backend.no_truncation()
        self._rules = self._backend.to_str()
        if bos == "always" and tokenizer.bos_token_id is None:
            raise RecipeError(
                f"`bos` is always, but the tokenizer in {folder} names no `bos_token`: set it to "
                "never, or name the token in tokenizer_config.json"
            )
        self.start_of_text: int | None = None
        if bos == "always" or (bos == "auto" and self._wants_bos(architecture)):
            self.start_of_text = tokenizer.bos_token_id

    @property
    def fingerprint(self) -> str:
        """Hash of the vocabulary and of all rules."""
        text = f"{self._rules}\0{self.end_of_text}"
        if self.start_of_text is not None:
            text += f"\0{self.start_of_text}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def end_of_text(self) -> int:
        """The id that joins documents."""
        return int(self.tokenizer.eos_token_id)

    @property
    def bos_choice(self) -> str | None:
        """In words, whether rows begin with BOS; None for a tokenizer that has none."""
        token = self.tokenizer.bos_token
        if token is None:
            return None
        if self.start_of_text is None:
            return f"rows do not begin with BOS (`{token}`)"
        return f"documents and rows begin with BOS (`{token}`)"

    def _wants_bos(self, architecture: str) -> bool:
        """Whether the tokenizer begins plain text with BOS, or the model is lost without."""
        token = self.tokenizer.bos_token_id
        if token is None:
            return False
        plain = self.tokenizer("a")["input_ids"]
        return _NEEDS_BOS in architecture or (plain[:1] == [token] and len(plain) > 1)

    @property
    def vocabulary_size(self) -> int:
        """Largest id + 1, added tokens counted: the embedding must have at least so many rows."""
        return max(self.tokenizer.get_vocab().values()) + 1

    def ids(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Ids of each text, without the bytes, which take as long again."""
        start = self._start
        for encoding in self._backend.encode_batch_fast(list(texts), add_special_tokens=False):
            yield start + encoding.ids

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        """Ids of each text and, for each id, the UTF-8 bytes of text that it adds.

        The bytes of a text's tokens add up to the bytes up to the end of its last token: a
        character that is split over several tokens counts for the first of them, and characters
        between two tokens count for the second. BOS adds none.
        """
        start = self._start
        for text, encoding in zip(
            texts, self._backend.encode_batch(list(texts), add_special_tokens=False), strict=True
        ):
            ends = [end for _, end in encoding.offsets]
            yield start + encoding.ids, [0] * len(start) + _byte_steps(text, ends)

    @property
    def _start(self) -> list[int]:
        return [] if self.start_of_text is None else [self.start_of_text]


def _byte_steps(text: str, ends: Sequence[int]) -> list[int]:
    """Bytes added at each token end, given as character positions.

    Example:
        >>> _byte_steps("aé b", [1, 2, 2, 4])
        [1, 2, 0, 2]
    """
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    widths = 1 + (codes >= 0x80).astype(np.int64) + (codes >= 0x800) + (codes >= 0x10000)
    positions = np.concatenate([[0], np.cumsum(widths)])
    reached = np.maximum.accumulate(positions[np.asarray(ends, dtype=np.int64)])
    return np.diff(reached, prepend=0).tolist()
