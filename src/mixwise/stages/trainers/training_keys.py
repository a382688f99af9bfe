"""The keys of training that are transformers' own, which TRL and LLaMA-Factory share."""

from __future__ import annotations

from typing import Any

from mixwise.stages.trainers.config import Config

_SCHEDULES = {
    "constant": "constant",
    "constant_with_warmup": "constant",
    "cosine": "cosine",
    "linear": "linear",
}
_NUMBERS = ("learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "max_grad_norm")


def take_training(config: Config, *, batch: str, schedule: str) -> dict[str, Any]:
    """Keys of ``training`` that the configuration names.

    Args:
        config: The configuration.
        batch: Its key of the sequences that one device reads at once.
        schedule: Its key of the schedule of the learning rate.
    """
    keys: dict[str, Any] = {f"training.{name}": config.take_number(name) for name in _NUMBERS}
    if not _is_part(config.values.get("warmup_steps")):
        keys["training.warmup_steps"] = config.take_count("warmup_steps")
    keys["training.seed"] = config.take_count("seed")
    keys["training.gradient_checkpointing"] = config.take("gradient_checkpointing")
    keys["training.precision"] = "bfloat16" if config.values.get("bf16") is True else None
    config.taken.update({"bf16"} if config.values.get("bf16") is True else ())
    chosen = config.values.get(schedule)
    if isinstance(chosen, str) and chosen in _SCHEDULES:
        keys["training.schedule"] = _SCHEDULES[config.take(schedule)]
    at_once, steps = config.take_count(batch), config.take_count("gradient_accumulation_steps")
    if at_once is not None or steps is not None:
        keys["training.gradient_accumulation_steps"] = steps
        keys["training.batch_sequences"] = (at_once or 1) * (steps or 1)
    return {key: value for key, value in keys.items() if value is not None}


def take_horizon(config: Config, keys: dict[str, Any], length: int | None) -> dict[str, Any]:
    """``horizon_tokens``, where the configuration counts steps and says how large one is."""
    batch, n_steps = keys.get("training.batch_sequences"), config.values.get("max_steps")
    if batch is None or length is None or not isinstance(n_steps, int) or n_steps <= 0:
        return {}
    config.taken.add("max_steps")
    return {"horizon_tokens": n_steps * batch * length}


def _is_part(steps: object) -> bool:
    """Whether steps of warm-up are a part of the run, as transformers reads a number below 1."""
    return isinstance(steps, float) and 0 < steps < 1
