"""Write what a run leaves behind: the checkpoint, the second moments, the tokenizer.

Notation:
    v̂ = v / (1 − β₂ᵗ): Adam's second moment after t steps without its bias towards 0, one value per
    parameter, under the names of the checkpoint's own tensors.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from transformers import Trainer

from mixwise.errors import MixwiseError
from mixwise.models.checkpoint import ADAPTER_FILE, FULL_FILE, SECOND_MOMENTS_FILE


def save_model(trainer: Trainer, folder: Path) -> None:
    """Save the trained model, full or adapter, as a plain folder of safetensors."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    state = trainer.accelerator.get_state_dict(trainer.model)
    # an adapter of the head would else be saved with the base's head beside it
    only_factors = {"save_embedding_layers": False} if hasattr(model, "peft_config") else {}
    model.save_pretrained(folder, state_dict=state, safe_serialization=True, **only_factors)
    if not any(
        (folder / name).is_file() for name in (FULL_FILE, ADAPTER_FILE, f"{FULL_FILE}.index.json")
    ):
        raise MixwiseError(f"{folder}: transformers wrote no safetensors; this is a defect")


def save_second_moments(trainer: Trainer, folder: Path) -> None:
    """Save v̂ of every parameter that was trained; nothing after SGD, which has none."""
    from safetensors.torch import save_file

    states = trainer.optimizer.state
    beta2 = trainer.args.adam_beta2
    moments = {
        name.replace(".default.", "."): (
            states[p]["exp_avg_sq"] / (1 - beta2 ** float(states[p]["step"]))
        )
        .float()
        .cpu()
        for name, p in trainer.accelerator.unwrap_model(trainer.model).named_parameters()
        if p in states and "exp_avg_sq" in states[p]
    }
    if moments:
        contiguous = {name: moment.contiguous() for name, moment in moments.items()}
        save_file(contiguous, folder / SECOND_MOMENTS_FILE)


def copy_tokenizer(base: Path, folder: Path, chat_template: str | None) -> None:
    """Copy the base's tokenizer or image processor beside a checkpoint: it can be used alone.

    Args:
        base: Folder of the base.
        folder: Folder of the checkpoint.
        chat_template: What conversations were rendered by, where it is not the tokenizer's own.
    """
    for name in (
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "tokenizer.model",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
        "preprocessor_config.json",
    ):
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    if chat_template is not None:
        (folder / "chat_template.jinja").write_text(chat_template, encoding="utf-8")
