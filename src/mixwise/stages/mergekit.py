"""A configuration of mergekit, merged by mixwise.

Method:
    ``linear`` is Σ wᵢ θᵢ, with weights that are divided by their sum; ``task_arithmetic`` is
    θ₀ + l Σ wᵢ (θᵢ − θ₀). Both are θ₀ + Σ wᵢ δᵢ, computed in float32 and rounded once; the base of
    a linear merge without one is its first model, since Σ wᵢ = 1 leaves none of it. A key or method
    that is not known is refused by name.

Source:
    mergekit 0.1.5, ``mergekit/config.py`` and ``mergekit/merge_methods``; Goddard et al. 2024
    (arXiv 2403.13257).

Departures:
    mergekit computes in ``dtype``, or in that of the models; here ``dtype`` and ``out_dtype`` say
    only what is saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, ValidationError

from mixwise.errors import RecipeError, printable
from mixwise.merging.dense_adapters import as_full_model
from mixwise.merging.fit.buffers import require_same_buffers
from mixwise.merging.fit.movement import require_moved
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LinearRule
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.copies import Copies
from mixwise.models.live_model import LiveModel, Precision
from mixwise.models.loading import build_module, load_module
from mixwise.models.module_layout import in_module_layout, stored_precision
from mixwise.recipe.parsing import explain
from mixwise.section import Section
from mixwise.stages.merged_folder import MergedModel, new_folder, save_merged_model
from mixwise.stages.model_card import MergedPart, MergeFacts
from mixwise.stages.trainers.read import load_config
from mixwise.study.opened_base import find_model_folder

Number = Annotated[float, Field(ge=-1e6, le=1e6)]
_SOURCE = "mergekit, arXiv 2403.13257"


class _ModelParameters(Section):
    weight: Number


class _Model(Section):
    model: str
    parameters: _ModelParameters | None = None


class _Parameters(Section):
    weight: Number | None = None
    normalize: bool | None = None
    lambda_: Annotated[Number, Field(alias="lambda")] = 1.0


class MergekitConfig(Section):
    """What is known of a configuration of mergekit."""

    merge_method: Literal["linear", "task_arithmetic"]
    models: Annotated[tuple[_Model, ...], Field(min_length=1)]
    base_model: str | None = None
    parameters: _Parameters = _Parameters()
    dtype: Precision | None = None
    out_dtype: Precision | None = None
    tokenizer_source: Literal["base"] | None = None


def read_mergekit(path: Path) -> MergekitConfig:
    """Read a configuration.

    Args:
        path: A YAML file.

    Raises:
        RecipeError: If it cannot be read, names something that is not known, or breaks a rule.
    """
    place = printable(str(path))
    try:
        return MergekitConfig.model_validate(load_config(path, place))
    except ValidationError as error:
        raise RecipeError(*explain(error, place, MergekitConfig)) from None


def merge_weights(config: MergekitConfig, place: str) -> dict[str, float]:
    """W of each model by its name; that of the base, whose task vector is 0, changes nothing.

    Args:
        config: The configuration.
        place: What error texts call it.

    Raises:
        RecipeError: If a model has no weight or stands there twice, all are of the base, or the
            weights of a linear merge do not add up to 1.
    """
    own, found = config.parameters, dict[str, float]()
    is_linear = config.merge_method == "linear"
    for k, model in enumerate(config.models):
        weight = model.parameters.weight if model.parameters else own.weight
        if weight is None and model.model != config.base_model:
            raise RecipeError(f"{place}: `models.{k}.parameters.weight` is missing: give one")
        if model.model in found:
            raise RecipeError(f"{place}: `{printable(model.model, 80)}` stands there twice")
        found[model.model] = weight or 0.0
    total = math.fsum(found.values())
    is_normalised = is_linear if own.normalize is None else own.normalize
    if is_normalised and abs(total) < 1e-6:
        raise RecipeError(f"{place}: the weights add up to 0, and cannot be divided by that")
    if is_linear and not is_normalised and abs(total - 1) > 1e-6:
        raise RecipeError(
            f"{place}: the weights of a linear merge must add up to 1, but add up to {total:.6g}: "
            "set `normalize: true`, or use task_arithmetic with a `base_model`"
        )
    factor = (1.0 if is_linear else own.lambda_) / (total if is_normalised else 1.0)
    if not found.keys() - {base_of(config, place)}:
        raise RecipeError(f"{place}: `models` must name another model than the base, but does not")
    return {name: factor * weight for name, weight in found.items()}


def base_of(config: MergekitConfig, place: str) -> str:
    """The model to which task vectors are taken.

    Raises:
        RecipeError: If task arithmetic names none.
    """
    if config.merge_method == "task_arithmetic" and config.base_model is None:
        raise RecipeError(f"{place}: task_arithmetic needs a `base_model`: name it")
    return config.base_model or config.models[0].model


def merge_config(
    path: Path,
    to: Path,
    cache: Path,
    *,
    precision: Precision | None = None,
    trust_remote_code: bool = False,
) -> MergedModel:
    """Merge what a configuration of mergekit names.

    Args:
        path: The configuration; its relative paths start from the working folder, as mergekit's.
        to: A new or empty folder.
        cache: Where copies in another layout are kept.
        precision: Of the tensors; None for what the configuration says, else for the base's.
        trust_remote_code: Whether code from the base's folder may run.

    Raises:
        RecipeError: If the configuration cannot be merged so, or the folder is not empty.
        CheckpointError: If a model cannot be opened, or does not fit the base.
        ResourceError: If the folder cannot be written.
    """
    place = printable(str(path))
    config = read_mergekit(path)
    weights, base_name = merge_weights(config, place), base_of(config, place)
    copies = Copies(cache / "checkpoints", trust_remote_code=trust_remote_code)
    folder = _folder(base_name, place)
    structure = build_module(folder, dtype=torch.float32, trust_remote_code=trust_remote_code)
    base = in_module_layout(open_checkpoint(folder), structure, copies)
    experts = {
        name: _open_expert(name, base_name, base, place, copies, structure)
        for name in weights
        if name != base_name
    }
    kept: Precision = precision or config.out_dtype or config.dtype or stored_precision(base)
    rule = LinearRule(config.merge_method, _SOURCE, _constant([weights[n] for n in experts]))
    with new_folder(to) as made:
        module = load_module(
            folder, dtype=getattr(torch, kept), trust_remote_code=trust_remote_code
        )
        live = LiveModel(module.eval(), base)
        pool = ExpertPool(live, experts)
        for expert in experts.values():
            require_moved(live, expert)
            require_same_buffers(live, expert)
        pool.merge(Mixture.uniform(tuple(experts)), rule)
        facts = MergeFacts(
            base=base_name,
            base_fingerprint=base.fingerprint,
            parts=tuple(
                MergedPart(name, name, weight, experts.get(name, base).fingerprint)
                for name, weight in weights.items()
            ),
            shares_by="",
            rule=config.merge_method,
            rule_source=_SOURCE,
            precision=kept,
            is_adapter=False,
            is_linear=True,
        )
        save_merged_model(module, made, folder, facts)
    return MergedModel.of(to, facts)


def _folder(name: str, place: str) -> Path:
    return find_model_folder(name, Path(), place, code=False)


def _open_expert(
    name: str, base_name: str, base: Checkpoint, place: str, copies: Copies, structure: object
) -> Checkpoint:
    """An expert as the module keeps it; ``model+adapter`` is mergekit's way to name an adapter."""
    under, plus, adapter = name.partition("+")
    if plus and under != base_name:
        raise RecipeError(
            f"{place}: `{printable(name, 160)}` puts an adapter on another model than the base "
            f"`{printable(base_name, 80)}`: name one of the base"
        )
    opened = open_checkpoint(_folder(adapter or name, place))
    if opened.is_adapter != bool(plus):
        rule = "a full model" if not plus else "an adapter behind the `+`"
        raise RecipeError(f"{place}: `{printable(name, 160)}` must be {rule}, but is not: mend it")
    if opened.is_adapter:
        return as_full_model(opened, base, copies)
    return in_module_layout(opened, structure, copies)


def _constant(weights: list[float]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda shares: torch.tensor(weights, dtype=shares.dtype)
