"""What a recipe takes over from a configuration of TRL's `trl sft`.

Source:
    ``DatasetMixtureConfig``, ``SFTConfig`` and ``ModelConfig`` of TRL 1.16.

Method:
    TRL learns all of a text and of a conversation, unless ``assistant_only_loss`` says otherwise,
    and the completion alone of a prompt with one; what rows are, it tells by their columns, and so
    does this, of files that lie here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixwise.data.recognition import Recognised, recognise
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
    take_template,
)
from mixwise.stages.trainers.training_keys import take_horizon, take_training


def read_trl(config: Config, places: Places) -> Taken:
    """Read the configuration.

    Raises:
        RecipeError: If a dataset cannot be found, or a value is of the wrong kind.
    """
    entries = _entries(config)
    wanted = [_wanted(entry) for entry in entries]
    names = name_domains([(each.files or [each.path])[0] for each in wanted])
    text = config.take_text("dataset_text_field")
    learns_answers = config.take("assistant_only_loss") is True
    learns_prompts = config.take("completion_only_loss") is False
    domains: list[TakenDomain] = []
    unseen: list[str] = []
    for name, each, entry in zip(names, wanted, entries, strict=True):
        keys = locate(each, places, entry)
        keys |= _records(_recognised(keys, places), text, learns_answers, learns_prompts)
        domains.append(TakenDomain(name, keys))
        if first_file(keys, places) is None and not learns_answers:
            unseen.append(f"{name}: of conversations TRL learns all, which is `learn: all` here")
    keys = _model(config, places)
    left = [line for entry in entries if entry is not config for line in entry.left()]
    if "training.lora" in keys and not config.values.get("lora_target_modules"):
        left.append("lora_target_modules: not set, which is PEFT's choice; all-linear here")
    return Taken("TRL", tuple(domains), keys, (*unseen, *left, *config.left()))


def _entries(config: Config) -> list[Config]:
    mixture = config.take("datasets")
    if mixture is None:
        return [config]
    if not isinstance(mixture, list) or not all(isinstance(each, Mapping) for each in mixture):
        raise config.refused("datasets", "must be a list of mappings")
    return [Config(each, config.place, f"datasets.{i}.") for i, each in enumerate(mixture)]


def _wanted(entry: Config) -> Wanted:
    if not entry.prefix:
        name = entry.take_text("dataset_name")
        if name is None:
            raise entry.refused("dataset_name", "must name a dataset")
        return Wanted(
            name,
            config=entry.take_text("dataset_config"),
            split=entry.take_text("dataset_train_split"),
        )
    files = entry.take("data_files")
    split = entry.take_text("split")
    if isinstance(files, Mapping):
        files = files.get(split or "train")
    chosen = [] if files is None else files if isinstance(files, list) else [files]
    if not all(isinstance(file, str) for file in chosen):
        raise entry.refused("data_files", "must name files, a text, a list or a split's")
    path = entry.take_text("path")
    if path is None:
        raise entry.refused("path", "must name a dataset")
    return Wanted(path, chosen, config=entry.take_text("name"), split=split)


def _recognised(keys: Mapping[str, Any], places: Places) -> Recognised:
    file = first_file(keys, places)
    try:
        return Recognised() if file is None else recognise(file)
    except MixwiseError:
        return Recognised()  # `check` will say what is wrong with the file


def _records(
    found: Recognised, text: str | None, learns_answers: bool, learns_prompts: bool
) -> dict[str, Any]:
    """What rows are and what is learned, as far as it is not what mixwise does by itself."""
    if not found.records or found.records == "text":
        return {"field": text} if text not in (None, "text") else {}
    if found.records not in FORMATS:
        return {}
    is_pair = found.records == "prompt-completion" or "prompt" in found.fields
    if FORMATS.find(found.records).is_chat and not is_pair:
        return {"learn": "assistant" if learns_answers else "all"}
    if is_pair:
        return {"learn": "all" if learns_prompts else "completion"}
    return {}


def _model(config: Config, places: Places) -> dict[str, Any]:
    """Base, lengths, rates and adapters."""
    keys = take_base(config, "model_name_or_path", "model_revision", places)
    keys |= take_template(config, "chat_template_path", places)
    length = config.take_count("max_length")
    if length is not None:
        keys["sequence_length"] = length
    keys |= take_training(config, batch="per_device_train_batch_size", schedule="lr_scheduler_type")
    keys |= take_horizon(config, keys, length)
    if config.take("use_peft") is True:
        modules = config.take("lora_target_modules")
        keys["training.method"] = "lora"
        keys["training.lora"] = {
            "rank": config.take_count("lora_r") or 16,
            "alpha": config.take_number("lora_alpha") or 32.0,
            "target_modules": modules or "all-linear",
        }
    return keys
