"""A loaded model made ready to be trained: its checkpointing, its adapters, the loss of labels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from mixwise.recipe import Training
from mixwise.releases import enable_activation_checkpointing
from mixwise.training.lora import lora_config


class LabelLoss:
    """Cross-entropy of the right labels, as Trainer takes it.

    Args:
        head_sizes: Outputs of each head, in the order of the outputs; empty for one. A row's
            probabilities are those of the head that its label belongs to.
    """

    def __init__(self, head_sizes: Sequence[int] = ()) -> None:
        sizes = torch.tensor(head_sizes, dtype=torch.int64)
        self._head_of = torch.arange(len(sizes)).repeat_interleave(sizes)  # of each output

    def __call__(self, outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        """Mean over the examples of the step, in nats.

        Args:
            outputs: A classifier's, with ``logits``.
            labels: Index of the right label of each example, among all outputs.
            num_items_in_batch: Examples of the whole step; None for those of this pass.
        """
        logits = outputs.logits.float()
        if len(self._head_of):
            head_of = self._head_of.to(labels.device)
            others = head_of[labels][:, None] != head_of[None]
            logits = logits.masked_fill(others, -torch.inf)
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        return losses / (len(labels) if num_items_in_batch is None else num_items_in_batch)


def prepare_module(module: Any, settings: Training, auto_class: str) -> Any:
    """Give a model what a run's settings ask for.

    Args:
        module: As it was loaded; adapters are put into it in place.
        settings: The run's.
        auto_class: Class of transformers that opened it.

    Returns:
        The module itself, or a PEFT model around it.
    """
    if settings.gradient_checkpointing:
        enable_activation_checkpointing(module)
        module.enable_input_require_grads()
    if settings.method == "full":
        return module
    from peft import get_peft_model

    config = lora_config(module, settings.lora, auto_class)
    with warnings.catch_warnings():  # PEFT asks by a name that transformers 5.23 has renamed
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return get_peft_model(module, config)
