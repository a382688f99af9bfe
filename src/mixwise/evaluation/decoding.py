"""Which token a model writes next: the likeliest, or one that is drawn.

Notation:
    z_v: logit of token v.  τ: temperature.  u_v: uniform on (0, 1).

Method:
    Sampling is greedy decoding of z_v / τ − ln(−ln u_v), a draw from the softmax of z / τ. Each
    question draws its u from a generator of its own, so that its answer depends on no neighbour,
    and every model meets the same numbers.

Source:
    Gumbel 1954 (maxima of noisy logits); common random numbers: Glasserman & Yao 1992.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixwise.kinds.generation import GenerationKeys


class Choice:
    """Logits whose largest is the next token; tells which questions have logits that are none.

    Args:
        keys: How answers are written.
        chosen: The questions of the batch.
    """

    def __init__(self, keys: GenerationKeys, chosen: Sequence[int]) -> None:
        self._keys = keys
        self._generators = [np.random.default_rng((keys.seed, question)) for question in chosen]
        self.is_bad = [False] * len(chosen)

    def __call__(self, ids: Tensor, logits: Tensor) -> Tensor:
        """Logits of the next token, shape ``(B, V)``."""
        bad = logits.isnan().any(dim=-1).tolist()
        self.is_bad = [a or b for a, b in zip(self.is_bad, bad, strict=True)]
        if not self._keys.temperature:
            return logits
        scaled = _top(logits.float() / self._keys.temperature, self._keys.top_p)
        drawn = [rng.standard_exponential(logits.shape[-1]) for rng in self._generators]
        noise = -np.log(np.stack(drawn))
        return scaled + torch.from_numpy(noise).to(scaled)


def _top(logits: Tensor, top_p: float) -> Tensor:
    """Logits of the most likely tokens that have a probability together; −∞ for the others."""
    if top_p == 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    probability = ordered.softmax(dim=-1)
    is_out = probability.cumsum(dim=-1) - probability >= top_p
    return logits.masked_fill(is_out.scatter(-1, order, is_out), -torch.inf)


@contextmanager
def plain_generation(model: Any, end_of_text: int, end_of_turn: int | None) -> Iterator[list[int]]:
    """Greedy decoding without the model's own settings; gives the tokens that end an answer."""
    from transformers import GenerationConfig

    own = model.generation_config
    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    known = sorted({end for end in (end_of_text, end_of_turn, *ends) if end is not None})
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=known, pad_token_id=end_of_text
    )
    try:
        yield known
    finally:
        model.generation_config = own
