"""What a recipe takes over from a configuration of LLaMA-Factory.

Source:
    ``DatasetAttr``, ``DataArguments`` and ``FinetuningArguments`` of LLaMA-Factory 0.9.5, whose
    usual values these are: datasets are named in ``dataset_info.json``, rows are Alpaca's, and
    training is LoRA of rank 8, where nothing else is said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixwise.errors import RecipeError, nearest, printable
from mixwise.stages.trainers.config import Config, Taken, TakenDomain
from mixwise.stages.trainers.places import (
    Places,
    Wanted,
    locate,
    name_domains,
    take_base,
)
from mixwise.stages.trainers.training_keys import take_horizon, take_training

_INFO = "dataset_info.json"
_LOST = (  # columns that would be lost
    "history", "images", "videos", "audios", "chosen", "rejected", "kto_tag",
)  # fmt: skip
_SPEAKERS = {
    "user_tag": ("human", "user"),
    "assistant_tag": ("gpt", "assistant"),
    "observation_tag": ("observation", "tool"),
    "system_tag": ("system",),
}  # of turns, as mixwise knows them; the first is LLaMA-Factory's usual one


def read_llamafactory(config: Config, places: Places) -> Taken:
    """Read the configuration and the ``dataset_info.json`` that it stands on.

    Raises:
        RecipeError: If a dataset is not described or cannot be found, has parts that mixwise has
            no records for, or a value is of the wrong kind.
    """
    stage = config.take_text("stage") or "sft"
    if stage not in ("sft", "pt"):
        raise config.refused("stage", "must be sft or pt")
    given = config.take("dataset")
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else given
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise config.refused("dataset", "must be names joined by commas")
    folder = config.take_text("dataset_dir") or "data"
    described = _load_info(folder, places, config)
    learn = _learn(config)
    domains: list[TakenDomain] = []
    left: list[str] = []
    for name, domain in zip(names, name_domains(names), strict=True):
        entry = _entry(name, described, config)
        keys = locate(_wanted(entry, folder), places, entry)
        keys |= _text(entry) if stage == "pt" else {**_records(entry), **learn}
        domains.append(TakenDomain(domain, keys))
        left += entry.left()
    keys = _model(config, places)
    return Taken("LLaMA-Factory", tuple(domains), keys, (*left, *config.left()))


def _load_info(folder: str, places: Places, config: Config) -> Mapping[str, Any]:
    path = f"{folder}/{_INFO}"
    found = places.find(path, f"{config.place}: `dataset_dir`")
    reason = "it is neither here nor beside the configuration"
    if found is not None:
        try:
            described = json.loads((places.recipe / found).read_text(encoding="utf-8"))
            if isinstance(described, dict):
                return described
            reason = "it must hold an object"
        except (OSError, ValueError, RecursionError) as error:
            reason = printable(str(error))
    raise RecipeError(
        f"{config.place}: `dataset_dir`: {printable(path)} cannot be read ({reason}): correct it, "
        "or start `mixwise init` where the trainer is started"
    )


def _entry(name: str, described: Mapping[str, Any], config: Config) -> Config:
    values = described.get(name)
    if not isinstance(values, Mapping):
        raise RecipeError(
            f"{config.place}: `dataset`: `{printable(name, 80)}` is not described in {_INFO}: "
            f"{nearest(name, described)}"
        )
    return Config(values, config.place, f"{_INFO}.{printable(name, 80)}.")


def _learn(config: Config) -> dict[str, Any]:
    prompts, last = config.take("train_on_prompt"), config.take("mask_history")
    return {"learn": "all"} if prompts is True else {"learn": "completion"} if last is True else {}


def _wanted(entry: Config, folder: str) -> Wanted:
    hub, file = entry.take_text("hf_hub_url"), entry.take_text("file_name")
    config, split = entry.take_text("subset"), entry.take_text("split")
    if hub is not None:
        return Wanted(hub, config=config, split=split)
    if file is None:
        raise entry.refused("file_name", "or `hf_hub_url` must name the data")
    return Wanted(str(Path(folder) / file))


def _columns(entry: Config) -> Mapping[str, Any]:
    columns = entry.take_mapping("columns")
    if entry.take("ranking") is True:
        raise entry.refused("ranking", "must be false: pairs of preferences are not trained on")
    lost = [name for name in _LOST if columns.get(name)]
    if lost:
        raise entry.refused(
            "columns", f"must not have {', '.join(lost)}, which mixwise would not read"
        )
    return columns


def _text(entry: Config) -> dict[str, Any]:
    """The text of pre-training, which stands where the instruction of Alpaca does."""
    entry.take("formatting")
    return {"field": _columns(entry).get("prompt") or "instruction"}


def _records(entry: Config) -> dict[str, Any]:
    columns, formatting = _columns(entry), entry.take_text("formatting") or "alpaca"
    system = {"system": columns["system"]} if columns.get("system") else {}
    if formatting == "alpaca":
        usual = {"prompt": "instruction", "query": "input", "response": "output"}
        chosen = columns or usual  # a column that is not named is not read
        parts = {"instruction": "prompt", "input": "query", "output": "response"}
        fields = {part: chosen.get(column) for part, column in parts.items()}
        if fields["instruction"] is None or fields["output"] is None:
            raise entry.refused("columns", "must name prompt and response")
        return {"records": "alpaca", "fields": {**fields, **system}}
    if formatting not in ("sharegpt", "openai"):
        raise entry.refused("formatting", "must be alpaca, sharegpt or openai")
    return _turns(entry, columns.get("messages") or "conversations", columns, system)


def _turns(
    entry: Config, field: str, columns: Mapping[str, Any], system: Mapping[str, Any]
) -> dict[str, Any]:
    """Conversations: what the parts of a turn and its speakers are called."""
    tags = entry.take_mapping("tags")
    for tag, known in _SPEAKERS.items():
        if tags.get(tag, known[0]) not in known:
            raise entry.refused("tags", f"must have {' or '.join(known)} for {tag}")
    parts = (tags.get("role_tag", "from"), tags.get("content_tag", "value"))
    tools = {"tools": columns["tools"]} if columns.get("tools") else {}
    if parts == ("role", "content") and not system:
        return {"records": "chat", "fields": {"messages": field, **tools}}
    if parts == ("from", "value") and not tools:
        return {"records": "sharegpt", "fields": {"conversations": field, **system}}
    raise entry.refused(
        "tags", "must name role and content, or from and value, with no system or tools"
    )


def _model(config: Config, places: Places) -> dict[str, Any]:
    """Base, lengths, rates and adapters."""
    keys = take_base(config, "model_name_or_path", "model_revision", places)
    length = config.take_count("cutoff_len")
    if length is not None:
        keys["sequence_length"] = length
    keys |= take_training(config, batch="per_device_train_batch_size", schedule="lr_scheduler_type")
    keys |= take_horizon(config, keys, length)
    method = config.take_text("finetuning_type") or "lora"
    if method not in ("lora", "full"):
        raise config.refused("finetuning_type", "must be lora or full")
    if method == "lora":
        rank, target = config.take_count("lora_rank") or 8, config.take_text("lora_target") or "all"
        modules = [name.strip() for name in target.split(",")]
        keys["training.method"] = "lora"
        keys["training.lora"] = {
            "rank": rank,
            "alpha": config.take_number("lora_alpha") or 2.0 * rank,
            "target_modules": "all-linear" if target == "all" else modules,
        }
    return keys
