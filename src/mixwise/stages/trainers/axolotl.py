"""What a recipe takes over from a configuration of Axolotl.

Source:
    ``SFTDataset``, ``PretrainingDataset``, ``LoraConfig`` and ``HyperparametersConfig`` of Axolotl
    0.21.

Departures:
    ``type: alpaca`` writes the sentences of Stanford's Alpaca around an instruction; here the chat
    template says what stands there, and the recipe says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixwise.stages.trainers.config import Config, Taken, TakenDomain
from mixwise.stages.trainers.places import (
    Places,
    Wanted,
    locate,
    name_domains,
    take_base,
    take_template,
)
from mixwise.stages.trainers.training_keys import take_horizon, take_training

_TYPES = ("chat_template", "alpaca", "completion", "pretrain")


def read_axolotl(config: Config, places: Places) -> Taken:
    """Read the configuration.

    Raises:
        RecipeError: If a dataset cannot be found, is of a type that mixwise has no records for, or
            a value is of the wrong kind.
    """
    entries = [*_entries(config, "datasets"), *_entries(config, "pretraining_dataset")]
    if not entries:
        raise config.refused("datasets", "must name a dataset")
    wanted = [_wanted(entry) for entry in entries]
    names = name_domains([(each.files or [each.path])[0] for each in wanted])
    learns_all = config.take("train_on_inputs") is True
    domains: list[TakenDomain] = []
    left: list[str] = []
    for name, each, entry in zip(names, wanted, entries, strict=True):
        kind = _type(entry)
        keys = locate(each, places, entry) | _records(entry, kind, learns_all=learns_all)
        domains.append(TakenDomain(name, keys))
        left += entry.left()
        if kind == "alpaca":
            left.append(f"{entry.prefix}type: alpaca: its sentences; the chat template is used")
    keys = _model(config, places)
    return Taken("Axolotl", tuple(domains), keys, (*left, *config.left()))


def _entries(config: Config, key: str) -> list[Config]:
    given = config.take(key)
    if key == "pretraining_dataset" and isinstance(given, str):
        given = [{"path": given}]
    listed = [] if given is None else given if isinstance(given, list) else [given]
    if not all(isinstance(each, Mapping) for each in listed):
        raise config.refused(key, "must be a list of mappings")
    usual = {"type": "pretrain"} if key == "pretraining_dataset" else {}
    return [Config({**usual, **each}, config.place, f"{key}.{i}.") for i, each in enumerate(listed)]


def _wanted(entry: Config) -> Wanted:
    path = entry.take_text("path")
    if path is None:
        raise entry.refused("path", "must name a dataset")
    return Wanted(
        path,
        entry.take_texts("data_files"),
        entry.take_text("ds_type"),
        entry.take_text("name"),
        entry.take_text("split"),
        entry.take_text("revision"),
    )


def _type(entry: Config) -> str:
    kind = entry.take("type")
    if kind not in _TYPES:
        raise entry.refused("type", f"must be one of {', '.join(_TYPES)}")
    return str(kind)


def _records(entry: Config, kind: str, *, learns_all: bool) -> dict[str, Any]:
    if kind in ("completion", "pretrain"):
        field = entry.take_text("field" if kind == "completion" else "text_column")
        return {"field": field} if field not in (None, "text") else {"records": "text"}
    learn = {"learn": "all"} if learns_all else {}
    if kind == "alpaca":
        return {"records": "alpaca", **learn}
    roles = entry.values.get("roles_to_train")
    if roles in (None, [], ["assistant"], ["gpt"]):
        entry.taken.add("roles_to_train")
    return {**_turns(entry), **learn}


def _turns(entry: Config) -> dict[str, Any]:
    """Where turns stand, and what their parts are called."""
    field = entry.take_text("field_messages") or "messages"
    entry.taken.update({"chat_template"} if _is_tokenizers(entry) else ())
    called = {
        "role": "role",
        "content": "content",
        **entry.take_mapping("message_property_mappings"),
    }
    for part in ("role", "content"):
        called[part] = entry.take_text(f"message_field_{part}") or called[part]
    if called["role"] == "from" and called["content"] == "value":
        return {"records": "sharegpt", "fields": {"conversations": field}}
    if called["role"] != "role" or called["content"] != "content":
        raise entry.refused(
            "message_property_mappings", "must name role and content, or from and value"
        )
    tools = entry.take_text("field_tools")
    return {"records": "chat", "fields": {"messages": field, **({"tools": tools} if tools else {})}}


def _is_tokenizers(config: Config) -> bool:
    return config.values.get("chat_template") in (None, "tokenizer_default")


def _model(config: Config, places: Places) -> dict[str, Any]:
    """Base, lengths, rates and adapters."""
    keys = take_base(config, "base_model", "revision_of_model", places)
    config.taken.update({"chat_template"} if _is_tokenizers(config) else ())
    template = take_template(config, "chat_template_jinja", places)
    config.taken.update({"chat_template"} if template else ())
    length = config.take_count("sequence_len")
    if length is not None:
        keys["sequence_length"] = length
    keys |= template | take_training(config, batch="micro_batch_size", schedule="lr_scheduler")
    keys |= take_horizon(config, keys, length)
    adapter = config.values.get("adapter")
    if adapter in ("lora", "qlora"):
        config.taken.update({"adapter"} if adapter == "lora" else ())
        linear = config.take("lora_target_linear") is True
        modules = config.take("lora_target_modules")
        rank, alpha = config.take_count("lora_r"), config.take_number("lora_alpha")
        if rank is None or alpha is None:
            raise config.refused("lora_alpha" if rank else "lora_r", "must be a number")
        keys["training.method"] = "lora"
        keys["training.lora"] = {
            "rank": rank,
            "alpha": alpha,
            "target_modules": "all-linear" if linear or modules is None else modules,
        }
    return keys
