"""Whether an expert's configuration computes what the base's does.

A merged model runs with the base's ``config.json``. An expert that was trained under another one
(another angle of its positions, another window, another epsilon) is another function of the same
tensors, and what it learned would be measured as something else.

Method:
    Both files are read as transformers reads them, which fills in the defaults and brings older
    spellings into the newest one. Every key decides, unless it is known not to.

Departures:
    Code in the folders themselves is not compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mixwise.errors import CheckpointError, first_line

_HARMLESS: Mapping[str, str] = {  # last part of a key, as a regular expression: why it is harmless
    r"name_or_path|_commit_hash|(transformers|mergekit)_version": "tells where a file came from",
    r"unsloth_.*|.*_timestamp": "a note of the trainer's",
    r"(torch_)?dtype": "the merged model's precision is the recipe's",
    r"use_cache|_?attn_implementation|_?experts_implementation|use_flash_attn.*|use_mamba_kernels"
    r"|chunk_size_feed_forward|pretraining_tp|gradient_checkpointing|torchscript": (
        "another way to compute the same numbers"
    ),
    r"(?!token_).*dropout(_rate|_prob|_p)?|.*_pdrop|layerdrop|neftune_noise_alpha|initializer_.*"
    r"|router_(aux_loss|z_loss)_coef|output_router_logits|loss_type": ("acts in training alone"),
    r"output_hidden_states|output_attentions|return_dict": "asks for more answers",
    r"(bos|eos|pad|sep|unk|mask|decoder_start)_token_id|tokenizer_class|prefix": (
        "the base's tokenizer is used"
    ),
    r"id2label|label2id|num_labels|problem_type|finetuning_task|task_specific_params"
    r"|summary_.*|classifier_.*": "belongs to another head",
    r"do_sample|top_p|typical_p|repetition_penalty|length_penalty|num_beams"
    r"|num_beam_groups|num_return_sequences|(max|min)_new_tokens|early_stopping"
    r"|no_repeat_ngram_size|diversity_penalty|bad_words_ids|forced_.*|suppress_tokens"
    r"|begin_suppress_tokens": "belongs to generation",
}
_PATTERN = re.compile("|".join(f"(?:{pattern})" for pattern in _HARMLESS))
_ABSENT = "absent"
_COUNT_FROM_PADDING = re.compile(  # the first position is the one after the padding token's id
    r"camembert|data2vec.*|kosmos.*|musicgen.*|.*roberta.*|trocr|xglm|xmod"
)


def compare_configs(base: Path, expert: Path, config_class: type[Any]) -> tuple[str, ...]:
    """Refuse a full expert whose configuration makes it another function than the base.

    Args:
        base: Folder of the base. One without ``config.json`` has nothing to compare with.
        expert: Folder of the expert.
        config_class: Class of the opened base's configuration; used where it is the model's own
            code, which is not loaded again.

    Returns:
        The keys that differ and are known not to decide any score, in the order of the alphabet.

    Raises:
        CheckpointError: If the expert has no configuration or one that cannot be read; or names the
            first key that differs, and both values.
    """
    if not (base / "config.json").is_file():
        return ()
    if not (expert / "config.json").is_file():
        raise CheckpointError(
            f"{expert}: an expert needs its `config.json`, which tells whether it computes what "
            "the base does, but it is missing: save the expert with `save_pretrained`, or copy "
            "the file that it was trained with"
        )
    if (base / "config.json").read_bytes() == (expert / "config.json").read_bytes():
        return ()
    raw = [_load_raw(folder) for folder in (base, expert)]
    kinds = [{"model_type": config.get("model_type")} for config in raw]
    if kinds[0] == kinds[1]:
        filled = [_load_filled(folder, config_class) for folder in (base, expert)]
    else:
        filled = kinds
    ours, theirs = (dict(_flatten(config)) for config in filled)
    differing = [
        key
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key, _ABSENT) != theirs.get(key, _ABSENT)
    ]
    deciding = [key for key in differing if not _is_harmless(key, ours, theirs)]
    if deciding:
        key = min(deciding, key=lambda name: (name not in ("model_type", "architectures"), name))
        others = f" ({len(deciding) - 1} more differ)" if len(deciding) > 1 else ""
        raise CheckpointError(
            f"{expert}: `{key}` of config.json must be that of the base, "
            f"{_shown(ours.get(key, _ABSENT))}, under which merges are scored, but is "
            f"{_shown(theirs.get(key, _ABSENT))}{others}: use an expert that was trained under the "
            "base's configuration or, if this file is wrong, put the base's beside it"
        )
    return tuple(differing)


def _is_harmless(key: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    both = (ours.get(key, _ABSENT), theirs.get(key, _ABSENT))
    last = key.rpartition(".")[2]
    if last == "architectures" or ".auto_map." in f".{key}":  # older files name none
        return None in both or _ABSENT in both
    if last == "max_window_layers":  # has its effect in `layer_types`, which is compared itself
        return key.replace(last, "layer_types") in ours.keys() & theirs.keys()
    if last == "pad_token_id":
        return _COUNT_FROM_PADDING.fullmatch(str(ours.get("model_type"))) is None
    if last == "max_position_embeddings":
        return _has_plain_rotation(key, ours) and _has_plain_rotation(key, theirs)
    return _PATTERN.fullmatch(last) is not None


def _has_plain_rotation(key: str, config: Mapping[str, Any]) -> bool:
    """Whether positions are rotated by angles that don't depend on how many there may be."""
    prefix = key.removesuffix("max_position_embeddings") + "rope_parameters."
    kinds = {
        value
        for name, value in config.items()
        if name.startswith(prefix) and name.endswith(".rope_type")
    }
    return bool(kinds) and kinds <= {"default", "linear", "llama3"}


def _load_raw(folder: Path) -> dict[str, Any]:
    try:
        loaded = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: config.json cannot be read ({first_line(error)}): copy or save it again"
        ) from None
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{folder}: config.json must hold a JSON object: save it again")
    return loaded


def _load_filled(folder: Path, config_class: type[Any]) -> dict[str, Any]:
    from transformers import AutoConfig

    is_own_code = not config_class.__module__.startswith("transformers.")
    try:
        if is_own_code:
            config = config_class.from_pretrained(folder, local_files_only=True)
        else:
            config = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        filled: dict[str, Any] = config.to_dict()
    except Exception as error:  # whatever the architecture's own code raises
        raise CheckpointError(
            f"{folder}: config.json cannot be used ({first_line(error)}): give a folder that "
            "transformers can open"
        ) from None
    return filled


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its path, such as ``text_config.rms_norm_eps``."""
    for key, value in config.items():
        if key == "_name_or_path" or (key == "type" and "rope_type" in config):
            continue  # the folder that was opened; the older name of the same
        is_harmless = _PATTERN.fullmatch(str(key)) is not None
        if isinstance(value, Mapping) and value and not is_harmless:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _class_name(value) if prefix == "auto_map." else value


def _class_name(reference: object) -> object:
    """``repository--module.Class`` and ``module.Class`` name the same code."""
    return reference.rpartition("--")[2] if isinstance(reference, str) else reference


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
