"""Held-out loss of a causal language model on sequences of fixed length.

Notation:
    L: sequence length. Each sequence predicts its positions 2..L from those before: L − 1 tokens.

Method:
    loss = mean negative log-likelihood per predicted token, in nats;
    bits per byte = Σ nats / (ln 2 · Σ bytes of the predicted tokens), which compares tokenizers.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mixwise.data.corpus import HeldoutSequences
from mixwise.errors import DataError
from mixwise.observation import Array, Measurement


@dataclass(frozen=True, slots=True, eq=False)
class TextSet:
    """A named set of held-out sequences.

    Args:
        name: Name of the domain or evaluation set.
        sequences: Tokens and the bytes that each adds, both ``(n, L)``.

    Raises:
        DataError: If the predicted tokens of a sequence stand for no text at all.
    """

    name: str
    sequences: HeldoutSequences

    def __post_init__(self) -> None:
        if not self.predicted_bytes.all():
            raise DataError(f"`{self.name}`: a held-out sequence holds no text: look at the data")

    @property
    def predicted_bytes(self) -> Array:
        """Bytes of the predicted tokens of each sequence, shape ``(n,)``."""
        return self.sequences.token_bytes[:, 1:].sum(axis=1).astype(np.float64)

    @property
    def n_tokens(self) -> int:
        """Tokens that one evaluation reads."""
        return self.sequences.tokens.size

    @property
    def fingerprint(self) -> str:
        """Hash of the tokens and their bytes."""
        digest = hashlib.blake2b(self.name.encode(), digest_size=16)
        for array in (self.sequences.tokens, self.sequences.token_bytes):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def measure(self, model: Any, batch_sequences: int) -> tuple[Measurement, ...]:
        """Measure ``loss`` and ``bits_per_byte`` of a model.

        Args:
            model: Causal language model in evaluation mode.
            batch_sequences: Sequences per forward pass.
        """
        nats = sequence_nats(model, self.sequences.tokens, batch_sequences)
        n_predicted = np.full(len(nats), self.sequences.tokens.shape[1] - 1, dtype=np.float64)
        n_bytes = self.predicted_bytes
        return (
            Measurement(f"{self.name}/loss", nats / n_predicted, n_predicted),
            Measurement(f"{self.name}/bits_per_byte", nats / (math.log(2) * n_bytes), n_bytes),
        )


def sequence_nats(model: Any, tokens: np.ndarray, batch_sequences: int) -> Array:
    """Summed negative log-likelihood of each sequence, given its first token.

    Args:
        model: Causal language model in evaluation mode.
        tokens: Shape ``(n, L)``.
        batch_sequences: Sequences per forward pass.

    Returns:
        Shape ``(n,)``, in nats, from float32 logits.
    """
    device = next(model.parameters()).device
    sums = []
    with torch.inference_mode():
        for start in range(0, len(tokens), batch_sequences):
            ids = torch.from_numpy(tokens[start : start + batch_sequences]).to(device)
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
            losses = torch.nn.functional.cross_entropy(
                logits.transpose(1, 2), ids[:, 1:], reduction="none"
            )
            sums.append(losses.double().sum(dim=1).cpu().numpy())
    return np.concatenate(sums)
