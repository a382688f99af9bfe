"""The adapters of a run: PEFT's settings for them, and the head that classifiers train in full.

Method:
    As PEFT's task type for sequence classification does: the head of a classifier, which begins
    anew with each task, is trained in full beside the factors and saved with them
    (``modules_to_save``). PEFT has no task type for images; there the head is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixwise.models.heads import HEADS, require_head
from mixwise.recipe.sections import Lora
from mixwise.tasks import TASKS

if TYPE_CHECKING:
    from peft import LoraConfig

_IN_HEADS = rf".*({'|'.join(HEADS)})(\..*)?"  # PEFT saves in full what ends in these names


def lora_config(module: Any, lora: Lora, auto_class: str) -> LoraConfig:
    """PEFT's settings of a run's adapters.

    Args:
        module: The model that they are for.
        lora: The recipe's.
        auto_class: Class of transformers that opens the model.

    Raises:
        CheckpointError: If it is a classifier whose head has none of the usual names.
    """
    from peft import LoraConfig

    task = next(task for task in TASKS.values() if task.auto_class == auto_class)
    if task.has_labels:
        require_head(module)
    names_head = task.has_labels and task.adapter_type is None  # else PEFT does
    targets = lora.target_modules
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=0.0,
        task_type=task.adapter_type,
        target_modules=targets if isinstance(targets, str) else list(targets),
        modules_to_save=list(HEADS) if names_head else None,
        exclude_modules=_IN_HEADS if task.has_labels else None,
    )
