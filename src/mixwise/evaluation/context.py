"""What a configuration says of the lengths that a model reads.

Method:
    The limit stands under one of a few names. A learned table of positions may keep its first rows
    for padding, as RoBERTa's does: these are no places for tokens. Whether the model keeps what its
    configuration says is found out by reading (`mixwise.evaluation.likelihood.probe`).

    LongRoPE turns positions by one set of angles in texts up to a length and by another in longer
    ones, and takes a whole batch for one text: rows on both sides of the length must not stand in
    one batch.

Source:
    Ding et al. 2024, LongRoPE (arXiv 2402.13753); transformers, ``modeling_rope_utils``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixwise.tasks import CAUSAL_LM

_LENGTH_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")


def context_tokens(
    config: Any, *, trust_remote_code: bool = False, auto_class: str = CAUSAL_LM.auto_class
) -> int | None:
    """Longest row that a configuration allows, or None where it names no limit.

    Args:
        config: Configuration of a model.
        trust_remote_code: Whether code that comes with the model may run.
        auto_class: Class of transformers that opens it.
    """
    named = (getattr(config, key, None) for key in _LENGTH_KEYS)
    limit = next((int(value) for value in named if isinstance(value, int) and value > 0), None)
    if limit is None:
        return None
    return limit - _padding_rows(
        config, limit, trust_remote_code=trust_remote_code, auto_class=auto_class
    )


def length_boundaries(config: Any) -> tuple[int, ...]:
    """Lengths beyond which a model reads a whole batch in another way; none for most models.

    Example:
        >>> from types import SimpleNamespace
        >>> rope = {"rope_type": "longrope", "original_max_position_embeddings": 4096}
        >>> length_boundaries(SimpleNamespace(rope_parameters=rope))
        (4096,)
    """
    found = set()
    for rope in _rotations(config):
        kind = rope.get("rope_type", rope.get("type"))
        original = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        if kind in ("longrope", "su") and original:
            found.add(int(original))
    return tuple(sorted(found))


def _rotations(config: Any) -> list[Mapping[str, Any]]:
    """Parameters of the rotary angles, one mapping or one per kind of layer."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    nested = [part for part in rope.values() if isinstance(part, Mapping)]
    return nested or [rope]


def _padding_rows(config: Any, limit: int, *, trust_remote_code: bool, auto_class: str) -> int:
    """Rows at the start of a learned table of positions that are no places for tokens."""
    if getattr(config, "pad_token_id", None) is None or any(_rotations(config)):
        return 0
    import torch
    import transformers

    try:
        with torch.device("meta"):
            opener = getattr(transformers, auto_class)
            shape = opener.from_config(config, trust_remote_code=trust_remote_code)
    except Exception:  # a model that cannot be built is refused when it is loaded, with its reason
        return 0
    reserved = [
        module.padding_idx + 1
        for name, module in shape.named_modules()
        if isinstance(module, torch.nn.Embedding)
        and "position" in name
        and module.padding_idx is not None
        and module.num_embeddings == limit
    ]
    return max(reserved, default=0)
