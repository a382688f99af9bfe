"""Which settings of an adapter leave it plain LoRA, and why the others are refused.

Method:
    An allow-list. A key of ``adapter_config.json`` passes if it is one of `FREE`, which decide how
    the adapter was trained or are read where it is opened; or if its value is one of those with
    which the feature is off. Of modules that were trained in full a classifier's head passes, which
    is merged as it is. Some features are no product of two factors and yet one merged weight, which
    PEFT computes: an adapter with one of these is written as a full model
    (`mixwise.merging.dense_adapters`). Any other value is refused, with the reason where the
    feature is known.

    Null, false and what is empty mean "off" for every key, unknown ones too: PEFT writes all its
    keys, and each version brings new ones, off by default. This holds for every field of the
    installed `LoraConfig` that is not in `FREE`, and a test says so for each of them.

Source:
    PEFT 0.21.2, ``peft/tuners/lora/config.py`` and ``layer.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mixwise.errors import CheckpointError
from mixwise.models.heads import HEADS

FREE = frozenset(
    {
        "r",
        "lora_alpha",
        "rank_pattern",
        "alpha_pattern",
        "use_rslora",
        "fan_in_fan_out",
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
        "lora_dropout",
        "eva_config",
        "runtime_config",
        "ensure_weight_tying",
        "inference_mode",
        "task_type",
        "auto_mapping",
        "peft_version",
        "base_model_name_or_path",
        "revision",
        "qalora_group_size",
    }
)

_MERGE_FIRST = "merge the adapter into a full model with PEFT and bring that"
_PLAIN_AGAIN = "train without it"


@dataclass(frozen=True, slots=True)
class Feature:
    """A setting with which an adapter can be more than plain LoRA.

    Args:
        plain: Values besides null, false and empty ones with which it is plain LoRA.
        reason: Why any other value cannot be merged, as the end of a sentence.
        remedy: What to do.
        is_dense: Whether some merged weight equals it all the same, however it is set.
    """

    plain: tuple[str | bool, ...]
    reason: str
    remedy: str = _MERGE_FIRST
    is_dense: bool = False


FEATURES: Mapping[str, Feature] = {
    "peft_type": Feature(("LORA",), "only LoRA adapters are sums of products of two factors"),
    "init_lora_weights": Feature(
        (True, "gaussian", "orthogonal", "eva", "mica"),
        "such a start moves the base's own weights, so the factors alone are not what the expert "
        "adds to the base",
        "convert the adapter with `path_initial_model_for_weight_conversion` of PEFT's "
        "`save_pretrained`, or train with `init_lora_weights=True`",
    ),
    "loftq_config": Feature((), "LoftQ replaces the base's weights by quantised ones"),
    "bias": Feature(
        ("none",),
        "it trains the base's biases too, which are in no factor",
        _PLAIN_AGAIN,
        is_dense=True,
    ),
    "lora_bias": Feature(
        (), "it gives every factor a bias, which is in no product", _PLAIN_AGAIN, is_dense=True
    ),
    "modules_to_save": Feature(
        (),
        "of modules that were trained in full, which are no products of two factors, only a "
        "classifier's head is merged",
        is_dense=True,
    ),
    "trainable_token_indices": Feature(
        (), "trained rows of the embedding are no products of two factors", is_dense=True
    ),
    "target_parameters": Feature(
        (),
        "adapters of bare parameters, such as fused experts, are not read",
        _PLAIN_AGAIN,
        is_dense=True,
    ),
    "layer_replication": Feature(
        (), "the adapter belongs to a model with more layers than the base", _PLAIN_AGAIN
    ),
    "use_dora": Feature(
        (), "DoRA rescales the merged weight, so that experts do not add up", is_dense=True
    ),
    "alora_invocation_tokens": Feature(
        (),
        "an activated LoRA changes only the tokens after these, so no merged weight equals it",
        _PLAIN_AGAIN,
    ),
    "use_qalora": Feature((), "QA-LoRA feeds its factors pooled inputs", _PLAIN_AGAIN),
    "use_bdlora": Feature((), "its factors are stored as blocks of a block-diagonal matrix"),
    "arrow_config": Feature(
        (), "Arrow routes each token to other adapters, so no merged weight equals it", _PLAIN_AGAIN
    ),
    "kasa_config": Feature((), "KaSA truncates the base's weights and weights its factors"),
    "velora_config": Feature((), "VeLoRA keeps projections beside its factors, which are not read"),
    "monteclora_config": Feature(
        (), "MonteCLoRA keeps the distribution of its factors, which is not read"
    ),
    "corda_config": Feature((), "CorDA moves the base's own weights"),
    "lora_ga_config": Feature((), "LoRA-GA moves the base's own weights"),
    "megatron_config": Feature((), "adapters of Megatron's parallel layers are not read"),
    "megatron_core": Feature(("megatron.core",), "adapters of Megatron's layers are not read"),
}

_OF_TENSORS: Mapping[str, str] = {  # part of a tensor's name: the feature that it belongs to
    ".lora_magnitude_vector": "use_dora",
    ".lora_B.bias": "lora_bias",
    ".modules_to_save.": "modules_to_save",
    ".token_adapter.": "trainable_token_indices",
    "trainable_tokens_": "trainable_token_indices",
}


def require_plain(config: Mapping[str, Any], where: object) -> None:
    """Refuse an adapter whose configuration makes it more than plain LoRA.

    Args:
        config: Content of ``adapter_config.json``.
        where: The adapter's folder, for the error's text.

    Raises:
        CheckpointError: Names the first such key in the order of the alphabet, its value and why.
    """
    for key, feature in _beyond_plain(config, where):
        raise _refusal(key, config[key], feature, where)


def needs_dense(config: Mapping[str, Any], where: object) -> bool:
    """Whether an adapter is no sum of products, but one merged weight all the same.

    Args:
        config: Content of ``adapter_config.json``.
        where: The adapter's folder, for the error's text.

    Raises:
        CheckpointError: Names the first key with which no merged weight is known to equal it.
    """
    found = list(_beyond_plain(config, where))
    for key, feature in found:
        if not feature.is_dense:
            raise _refusal(key, config[key], feature, where)
    return bool(found)


def _beyond_plain(config: Mapping[str, Any], where: object) -> Iterator[tuple[str, Feature]]:
    """Keys that make an adapter more than plain LoRA, in the order of the alphabet."""
    if "peft_type" not in config:
        raise CheckpointError(
            f"{where}: adapter_config.json must name its `peft_type`, but does not: save the "
            "adapter again with PEFT"
        )
    for key in sorted(config):
        value = config[key]
        if key in FREE or not value:
            continue
        feature = FEATURES.get(key)
        if key == "modules_to_save" and isinstance(value, list) and all(m in HEADS for m in value):
            continue
        if feature is None:
            raise CheckpointError(
                f"{where}: `{key}` of adapter_config.json is {_shown(value)}, a setting that "
                "mixwise does not know, so what it does to the merge cannot be known either: "
                f"train without it, or {_MERGE_FIRST}"
            )
        if not any(value is plain or value == plain for plain in feature.plain):
            yield key, feature


def _refusal(key: str, value: object, feature: Feature, where: object) -> CheckpointError:
    return CheckpointError(
        f"{where}: `{key}` of adapter_config.json is {_shown(value)}, but "
        f"{feature.reason}: {feature.remedy}"
    )


def reason_of_tensor(name: str) -> tuple[str, str] | None:
    """Why a tensor that is no factor cannot be merged, and what to do; None where it is unknown."""
    for part, key in _OF_TENSORS.items():
        if part in name:
            return FEATURES[key].reason, FEATURES[key].remedy
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
