"""Where releases of transformers differ: one place for each name and habit that has changed.

Method:
    What a release offers is looked up in the release, never in its number. Where it is missing the
    result is the same and takes more time or memory.

    since   what                                            before
    5.21    a head keeps to a mask of positions             to positions that all rows share
    5.23    ``activation_checkpointing_enable``             ``gradient_checkpointing_enable``
    5.24    ``cache``                                       ``past_key_values``
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

_CACHE_NAMES = ("cache", "past_key_values")


def release() -> str:
    """The installed release, for texts."""
    import transformers

    return f"transformers {transformers.__version__}"


def takes(model: Callable[..., Any], name: str) -> bool:
    """Whether the model, or a function in its place, names such an argument."""
    return name in inspect.signature(getattr(model, "forward", model)).parameters


def cache_name(model: Callable[..., Any]) -> str | None:
    """Name by which the model takes keys and values of earlier tokens; None where it takes none."""
    return next((name for name in _CACHE_NAMES if takes(model, name)), None)


def why_no_cache(model: Callable[..., Any]) -> str | None:
    """Why the model takes no keys and values of earlier tokens; None where it takes them."""
    if cache_name(model) is not None:
        return None
    names = " nor ".join(f"`{name}`" for name in _CACHE_NAMES)
    return f"{release()} gives {type(model).__name__} neither {names}"


def why_all_positions(model: Callable[..., Any]) -> str | None:
    """Why every position goes through the model's head; None where it keeps to chosen ones.

    All decoders of transformers that name ``logits_to_keep`` take positions; code that comes with a
    checkpoint may know the name with an older meaning.
    """
    if not type(model).__module__.startswith("transformers.models."):
        return f"{type(model).__name__} is not transformers' own code"
    if not takes(model, "logits_to_keep"):
        return f"{release()} gives {type(model).__name__} no `logits_to_keep`"
    return None


def takes_masks() -> bool:
    """Whether heads that keep to chosen positions take others in each row, as a mask."""
    from transformers import modeling_utils

    return hasattr(modeling_utils, "slice_logits_to_keep")


def enable_activation_checkpointing(model: Any) -> None:
    """Let a model of transformers compute its activations again in the backward pass."""
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable()
    else:
        model.gradient_checkpointing_enable()


def disable_activation_checkpointing(model: Any) -> None:
    """Let it keep its activations again."""
    if hasattr(model, "activation_checkpointing_disable"):
        model.activation_checkpointing_disable()
    else:
        model.gradient_checkpointing_disable()
