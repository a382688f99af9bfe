"""Adapters that are no sum of products, such as DoRA's, as the full models that they make.

Method:
    PEFT puts the adapter on the base and merges it, in float32; what is saved is a full expert, so
    that all rules, slopes and comparisons see a dense task vector. Three things are held against
    PEFT's own model before it is used: every stored tensor is one that PEFT has loaded, number
    by number, and no tensor of the adapter is missing; and the saved model, opened again, answers
    as the base with the adapter on top does.

Source:
    Liu et al. 2024, DoRA (arXiv 2402.09353); ``merge_and_unload`` of PEFT.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mixwise.errors import CheckpointError, first_line
from mixwise.merging.task_vectors.adapter_features import needs_dense
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.copies import Copies
from mixwise.models.loading import load_module, map_names
from mixwise.models.module_layout import save_as_kept
from mixwise.tasks import CAUSAL_LM

if TYPE_CHECKING:
    from torch import Tensor

_PREFIX = "base_model.model."
_TOLERANCE = 1e-4  # of the logits' largest: float32 in another order
_N_IDS = 16


def is_dense(adapter: Checkpoint) -> bool:
    """Whether an adapter can be merged as a full model alone.

    Raises:
        CheckpointError: If no merged model is known to equal it; names the first such setting.
    """
    has_features = needs_dense(adapter.adapter_config, adapter.folder)
    return has_features or any("lora_embedding_" in name for name in adapter.tensors)


def as_full_model(adapter: Checkpoint, base: Checkpoint, copies: Copies) -> Checkpoint:
    """The full model that an adapter makes of its base, float32, as the module keeps it.

    Args:
        adapter: An adapter of the base, plain or dense.
        base: The base, as the module keeps it.
        copies: Where the copy is kept.

    Raises:
        CheckpointError: If the base is no causal language model, if PEFT cannot load or merge it,
            if it holds other tensors than PEFT loads, or if the merged model answers otherwise
            than the base with the adapter on top.
        ResourceError: If the copy cannot be written.
    """
    import peft

    if copies.auto_class != CAUSAL_LM.auto_class:
        raise CheckpointError(
            f"{adapter.folder}: of adapters that are more than plain LoRA, or stand beside full "
            "models, only those of causal language models are merged: merge it into a full model "
            "with PEFT and bring that"
        )
    form = f"on-{base.fingerprint}-peft-{peft.__version__}"
    return copies.find_or_make(adapter, form, lambda folder: _write(adapter, base, copies, folder))


def _write(adapter: Checkpoint, base: Checkpoint, copies: Copies, folder: Path) -> None:
    from peft import PeftModel

    def load(source: Path) -> Any:
        return load_module(
            source,
            trust_remote_code=copies.trust_remote_code,
            auto_class=copies.auto_class,
        ).eval()

    module = load(base.folder)
    is_tied = _is_tied(module)
    ids = _some_ids(module, adapter)
    entries = {name: (entry.dtype, entry.shape) for name, entry in base.tensors.items()}
    stored = map_names(module, base.folder, entries).stored
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is missing or tied is found below, by numbers
        try:
            model = PeftModel.from_pretrained(module, str(adapter.folder)).eval()
        except Exception as error:  # whatever PEFT raises
            raise CheckpointError(
                f"{adapter.folder}: PEFT cannot put the adapter on the base "
                f"({first_line(error)}): use an adapter that was trained on this base"
            ) from None
        _require_loaded(adapter, base, model, stored)
        expected = _logits(model, ids)
        try:
            merged: Any = model.merge_and_unload(safe_merge=True)
        except Exception as error:  # as above
            raise CheckpointError(
                f"{adapter.folder}: PEFT cannot merge the adapter ({first_line(error)}): train "
                "plain LoRA, or bring a full model"
            ) from None
        if _is_tied(merged) != is_tied:
            raise _untied(adapter)
        save_as_kept(merged, folder)
    difference = float((_logits(load(folder), ids) - expected).abs().max())
    largest = float(expected.abs().max())
    if not difference <= _TOLERANCE * largest:
        if is_tied:
            raise _untied(adapter)
        raise CheckpointError(
            f"{adapter.folder}: the base with the adapter merged into it answers otherwise than "
            f"with the adapter on top (logits up to {largest:.3g} differ by {difference:.3g}): "
            "train plain LoRA, or bring a full model"
        )


def _is_tied(module: Any) -> bool:
    """Whether head and embedding are one tensor, in memory and by the configuration."""
    head, embedding = module.get_output_embeddings(), module.get_input_embeddings()
    is_one = head is not None and head.weight is embedding.weight
    return bool(is_one and getattr(module.config, "tie_word_embeddings", True))


def _untied(adapter: Checkpoint) -> CheckpointError:
    return CheckpointError(
        f"{adapter.folder}: the adapter changes the embedding and not the head, or the head and "
        "not the embedding, which the base ties, so no model of its kind equals it: train both "
        "(`ensure_weight_tying=True` of PEFT), or neither"
    )


def _require_loaded(
    adapter: Checkpoint, base: Checkpoint, model: Any, stored: Mapping[str, str]
) -> None:
    """Compare what PEFT has loaded with what is stored, name by name and number by number.

    Args:
        adapter: The adapter.
        base: The base.
        model: The adapter on the base, as PEFT has loaded it.
        stored: Name of the base's tensor in its file, by its name in the module.
    """
    from peft import get_peft_model_state_dict

    loaded: dict[str, Tensor] = get_peft_model_state_dict(model, save_embedding_layers=False)
    for name in sorted(loaded.keys() | adapter.tensors.keys()):
        if name not in adapter.tensors:
            raise CheckpointError(
                f"{adapter.folder}: tensor `{name}` is missing, which its adapter_config.json asks "
                "for: save the adapter again"
            )
        values = adapter.load_tensor(name)
        there = loaded.get(name)
        if there is None:  # PEFT saves the base's own head or embedding beside an adapter of them
            own = name.removeprefix(_PREFIX).replace(".base_layer.", ".")
            there = base.load_tensor(stored[own]) if own in stored else None
        if (
            there is None
            or there.shape != values.shape
            or not torch.equal(values.to(there.dtype), there)
        ):
            raise CheckpointError(
                f"{adapter.folder}: tensor `{name}` is not what PEFT loads in its place: save the "
                "adapter again with PEFT's `save_pretrained`"
            )


def _some_ids(module: Any, adapter: Checkpoint) -> Tensor:
    size = getattr(module.config.get_text_config(), "vocab_size", None)
    if size is None:
        raise CheckpointError(
            f"{adapter.folder}: adapters of models that read no text are not merged: merge it into "
            "a full model with PEFT and bring that"
        )
    generator = torch.Generator().manual_seed(0)
    return torch.randint(size, (2, _N_IDS), generator=generator)


@torch.no_grad()
def _logits(model: Any, ids: Tensor) -> Tensor:
    logits: Tensor = model(input_ids=ids, use_cache=False).logits
    return logits.float()
