"""What a recipe takes over from a configuration of ms-swift's `swift sft` or `swift pt`.

Source:
    ``prepare_config_args``, ``DatasetSyntax.parse``, ``BaseArguments`` and ``TemplateArguments`` of
    ms-swift 4.6: ``swift sft FILE.yaml`` takes its arguments from a file; a dataset is
    ``PATH#COUNT`` or ``hf::NAME:SUBSET#COUNT``.

Method:
    Rows are told by their columns, as ms-swift tells them. What is learned of conversations is its
    ``loss_scale``. Names without ``hf::`` are ModelScope's unless ``use_hf`` is true.
"""

from __future__ import annotations

from typing import Any

from mixwise.data.recognition import recognise
from mixwise.errors import MixwiseError
from mixwise.records.formats import FORMATS
from mixwise.stages.trainers.config import Config, Taken, TakenDomain
from mixwise.stages.trainers.places import (
    Places,
    Wanted,
    first_file,
    locate,
    name_domains,
    take_base,
)
from mixwise.stages.trainers.training_keys import take_horizon, take_training

_LEARNED = {"default": "assistant", "last_round": "completion", "all": "all"}
_USUAL_RANK, _USUAL_ALPHA = 8, 32.0


def read_ms_swift(config: Config, places: Places) -> Taken:
    """Read the configuration.

    Raises:
        RecipeError: If a dataset cannot be found or is ModelScope's, or a value is of the wrong
            kind.
    """
    given = config.take_texts("dataset")
    if not given:
        raise config.refused("dataset", "must name a dataset")
    uses_hub = config.take("use_hf") is True
    wanted, left = [], []
    for text in given:
        each, count = _split(text, config, places)
        wanted.append(_wanted(each, config, places, uses_hub=uses_hub))
        if count:
            left.append(f"dataset: {text}: its count of rows, which shares stand for")
    learned = _learned(config)
    names = name_domains([each.path for each in wanted])
    domains = []
    for name, one in zip(names, wanted, strict=True):
        keys = locate(one, places, config)
        domains.append(TakenDomain(name, keys | _learns(keys, places, learned)))
    return Taken("ms-swift", tuple(domains), _model(config, places), (*left, *config.left()))


def _split(text: str, config: Config, places: Places) -> tuple[str, str]:
    """A dataset without its count of rows, and that count."""
    if places.find(text, f"{config.place}: `dataset`") is not None:
        return text, ""
    name, _, count = text.rpartition("#")
    return (name, count) if name and count.isdecimal() else (text, "")


def _wanted(text: str, config: Config, places: Places, *, uses_hub: bool) -> Wanted:
    head, mark, rest = text.partition("::")
    name = rest if mark else text
    if not mark and places.find(name, f"{config.place}: `dataset`") is not None:
        return Wanted(name)
    if (mark and head.lower() == "ms") or not (mark or uses_hub or "." in name):
        raise config.refused("dataset", f"names `{name}` of ModelScope, which mixwise cannot open")
    dataset, _, subset = name.partition(":")
    return Wanted(dataset, config=subset or None)


def _learned(config: Config) -> str:
    """What of conversations is learned."""
    scale = config.values.get("loss_scale")
    if scale is not None and scale not in _LEARNED:
        return "assistant"  # weights of tokens, which stay among what is left
    config.taken.add("loss_scale")
    return _LEARNED[scale or "default"]


def _learns(keys: dict[str, Any], places: Places, learned: str) -> dict[str, Any]:
    """The key ``learn``, where rows are conversations and it is not what mixwise does itself."""
    file = first_file(keys, places)
    try:
        records = recognise(file).records if file is not None else None
    except MixwiseError:
        return {}  # `check` will say what is wrong with the file
    if not records or records not in FORMATS or not FORMATS.find(records).is_chat:
        return {}
    return {} if learned == "assistant" else {"learn": learned}


def _model(config: Config, places: Places) -> dict[str, Any]:
    """Base, lengths, rates and adapters."""
    keys = take_base(config, "model", "model_revision", places)
    length = config.take_count("max_length")
    if length is not None:
        keys["sequence_length"] = length
    keys |= take_training(config, batch="per_device_train_batch_size", schedule="lr_scheduler_type")
    keys |= take_horizon(config, keys, length)
    kind = config.values.get("tuner_type", config.values.get("train_type", "lora"))
    if kind in ("lora", "full"):
        config.taken.update({"tuner_type", "train_type"})
    if kind == "lora":
        modules = config.take_texts("target_modules")
        keys["training.method"] = "lora"
        keys["training.lora"] = {
            "rank": config.take_count("lora_rank") or _USUAL_RANK,
            "alpha": config.take_number("lora_alpha") or _USUAL_ALPHA,
            "target_modules": "all-linear" if modules in ([], ["all-linear"]) else modules,
        }
    return keys
