"""How the experts that a user brings were trained, beside how the recipe trains its own runs.

A merge stands for a run only where its experts moved as that run will: from the same number of
tokens, at the same rate, in the same weights.

Method:
    What is known of an expert is in its ``run.json``, if mixwise trained it, in the
    ``trainer_state.json`` of transformers' Trainer, and in the configuration of an adapter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mixwise.merging.task_vectors.adapters import LoraExpert, is_linear
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.heads import is_of_head
from mixwise.models.live_model import LiveModel
from mixwise.recipe import Recipe
from mixwise.training.job import RUN_FILE, RunRecord

TRAINER_FILE = "trainer_state.json"
_ALIKE = 1.25  # ratio of two rates or token counts up to which runs count as trained alike


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What is known of a finished run; None where it is not.

    Args:
        learning_rate: Highest learning rate.
        n_tokens: Tokens that it read.
    """

    learning_rate: float | None
    n_tokens: int | None


def read_training_facts(folder: Path) -> TrainingFacts | None:
    """What a checkpoint's folder tells of its training, or None where it tells nothing.

    Args:
        folder: Folder of the expert.
    """
    try:
        record = RunRecord.model_validate_json((folder / RUN_FILE).read_bytes())
    except (OSError, ValidationError):  # none, or another tool's file of that name
        return _read_trainer_state(folder / TRAINER_FILE)
    return TrainingFacts(record.learning_rate, record.n_tokens)


def _read_trainer_state(path: Path) -> TrainingFacts | None:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(state, dict):
        return None
    logs = state.get("log_history")
    rows = [row for row in logs if isinstance(row, dict)] if isinstance(logs, list) else []
    rates = [_positive(row.get("learning_rate")) for row in rows]
    highest = max((rate for rate in rates if rate is not None), default=None)
    n_tokens = _positive(state.get("num_input_tokens_seen"))  # 0 where Trainer did not count them
    if highest is None and n_tokens is None:
        return None
    return TrainingFacts(highest, None if n_tokens is None else int(n_tokens))


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 < value < math.inf else None


def training_differences(
    live: LiveModel, expert: Checkpoint, recipe: Recipe, *, expert_tokens: int
) -> Iterator[str]:
    """What of an expert's training differs from the recipe's, each as the end of a sentence.

    Args:
        live: The live model of the base.
        expert: An expert that fits it.
        recipe: The recipe.
        expert_tokens: Tokens that an expert should have read.
    """
    facts, settings = read_training_facts(expert.folder), recipe.training
    if facts is None:
        yield (
            f"neither {RUN_FILE} nor {TRAINER_FILE} tells how it was trained; the recipe's "
            f"experts read {expert_tokens:,} tokens at a learning rate of "
            f"{settings.learning_rate:g}"
        )
    elif facts.learning_rate and not _are_alike(facts.learning_rate, settings.learning_rate):
        yield (
            f"it was trained at a learning rate of {facts.learning_rate:g}, but "
            f"`training.learning_rate` is {settings.learning_rate:g}"
        )
    if facts is not None and facts.n_tokens and not _are_alike(facts.n_tokens, expert_tokens):
        yield (
            f"it read {facts.n_tokens:,} tokens, but the recipe's experts read "
            f"{expert_tokens:,} (`experts.horizon_tokens`)"
        )
    if expert.is_adapter and recipe.task_facts.has_labels:
        yield "it names no labels, so that they are taken to stand in the order of the base's"
    if expert.is_adapter != (settings.method == "lora"):
        kind = "an adapter" if expert.is_adapter else "a full model"
        yield f"it is {kind}, but `training.method` is {settings.method}"
    elif expert.is_adapter:
        yield from _adapter_differences(live, expert, recipe)


def _are_alike(a: float, b: float) -> bool:
    return max(a, b) <= _ALIKE * min(a, b)


def _adapter_differences(live: LiveModel, expert: Checkpoint, recipe: Recipe) -> Iterator[str]:
    lora, config = recipe.training.lora, expert.adapter_config
    if config["r"] != lora.rank:
        yield f"its rank is {config['r']}, but `training.lora.rank` is {lora.rank}"
    if config["lora_alpha"] != lora.alpha:
        yield f"its alpha is {config['lora_alpha']:g}, but `training.lora.alpha` is {lora.alpha:g}"
    if config.get("use_rslora"):
        yield "it divides by the root of its rank (`use_rslora`), the recipe's runs by the rank"
    theirs = {name.split(".")[-2] for name in LoraExpert(live, expert).factors}
    if isinstance(lora.target_modules, str):
        ours = _all_linear(live)
    else:
        ours = {name.rpartition(".")[2] for name in lora.target_modules}
    if theirs != ours:
        yield (
            f"it adapts {_listed(theirs)}, but `training.lora.target_modules` means {_listed(ours)}"
        )


def _all_linear(live: LiveModel) -> set[str]:
    """Last parts of the names of all linear layers but the head, as PEFT's ``all-linear``."""
    head = live.module.get_output_embeddings()  # type: ignore[operator]
    return {
        name.rpartition(".")[2]
        for name, module in live.module.named_modules()
        if name
        and module is not head
        and not (head is None and is_of_head(name))
        and is_linear(live, name)
    }


def _listed(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
