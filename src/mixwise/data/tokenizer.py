"""The base model's tokenizer, as a corpus needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixwise.errors import CheckpointError, first_line


class BaseTokenizer:
    """A fast Hugging Face tokenizer without padding, truncation or automatic special tokens.

    Args:
        folder: Folder of the base model.
        trust_remote_code: Whether code from that folder may run.

    Raises:
        CheckpointError: If the folder holds no fast tokenizer, or it names no end-of-text token.
    """

    def __init__(self, folder: Path, *, trust_remote_code: bool = False) -> None:
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
        if tokenizer.eos_token_id is None:
            raise CheckpointError(
                f"{folder}: the tokenizer names no end-of-text token "
                "(`eos_token`): set it in tokenizer_config.json"
            )
        self.tokenizer: Any = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_padding()
        self._backend.no_truncation()
        self._rules = self._backend.to_str()

    @property
    def fingerprint(self) -> str:
        """Hash of the vocabulary and of all rules."""
        text = f"{self._rules}\0{self.end_of_text}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def end_of_text(self) -> int:
        """The id that joins documents."""
        return int(self.tokenizer.eos_token_id)

    @property
    def vocabulary_size(self) -> int:
        """Largest id + 1, added tokens counted: the embedding must have at least so many rows."""
        return max(self.tokenizer.get_vocab().values()) + 1

    def ids(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Ids of each text, without the bytes, which take as long again."""
        for encoding in self._backend.encode_batch_fast(list(texts), add_special_tokens=False):
            yield encoding.ids

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        """Ids of each text and, for each id, the UTF-8 bytes of text that it adds.

        The bytes of a text's tokens add up to the bytes up to the end of its last token: a
        character that is split over several tokens counts for the first of them, and characters
        between two tokens count for the second.
        """
        for text, encoding in zip(
            texts, self._backend.encode_batch(list(texts), add_special_tokens=False), strict=True
        ):
            ends = [end for _, end in encoding.offsets]
            yield encoding.ids, _byte_steps(text, ends)


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
