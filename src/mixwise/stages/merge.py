"""Merge: any mixture of a study's experts, written as a model or an adapter to be used elsewhere.

The merge is that of the proxy at the end of the experts' runs, from the experts themselves and not
from the store, whose precision may be lower. It stands for a model that is trained on the mixture;
it is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mixwise.data.matching import expand_user
from mixwise.errors import RecipeError, StudyError
from mixwise.mixture import Mixture
from mixwise.stages.merged_folder import (
    Form,
    MergedModel,
    new_folder,
    save_card,
    save_merged_model,
)
from mixwise.stages.model_card import MergedPart, MergeFacts
from mixwise.study.result_files import load_result
from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace

if TYPE_CHECKING:
    from mixwise.merging.pool import ExpertPool
    from mixwise.models.live_model import Precision

BEST = "best"


def merge_study(
    workspace: Workspace,
    mixture: str,
    to: Path,
    *,
    form: Form = "model",
    precision: Precision | None = None,
) -> MergedModel:
    """Write the merge of a mixture.

    Args:
        workspace: The study; its experts must be trained.
        mixture: ``best`` for the recommended one, or shares such as ``math=0.7,code=0.3``.
        to: A new or empty folder.
        form: A full model, or an adapter of the base, where all experts are plain LoRA.
        precision: Of the model's tensors; None for that in which the base is stored. An adapter is
            in float32.

    Raises:
        RecipeError: If it is no mixture of the study's domains, the folder is not empty, an adapter
            is wanted of what is no sum of adapters, or experts are by gradients.
        StudyError: If an expert is not trained, or nothing is recommended yet.
        ResourceError: If the folder cannot be written.
    """
    if workspace.inputs.horizons.expert_method == "gradients":
        raise RecipeError(
            "experts by gradients are not merged to a model: their steps have no length of their "
            "own, and the proxy averages predictions at another length for each metric: set "
            "`experts.method: training` in a new study"
        )
    if form == "adapter":
        return _write_adapter(workspace, _choose(workspace, mixture), to)
    return write_merged_model(workspace, _choose(workspace, mixture), to, precision=precision)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is merged, and why.

    Args:
        mixture: Shares of the study's domains.
        why: Why this one, as a sentence; may be empty.
        metrics: What the proxy says of it, as far as it is known.
    """

    mixture: Mixture
    why: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


def write_merged_model(
    workspace: Workspace, choice: Choice, to: Path, *, precision: Precision | None = None
) -> MergedModel:
    """Write the merge of a mixture as a full model; see `merge_study`.

    Args:
        workspace: The study.
        choice: What is merged.
        to: A new or empty folder.
        precision: As there.
    """
    from mixwise.models.module_layout import stored_precision

    inputs = workspace.inputs
    kept: Precision = precision or stored_precision(inputs.base)
    with new_folder(to) as folder:
        pool = merged_pool(workspace, choice.mixture, kept)
        facts = _facts(workspace, pool, choice, kept)
        own = workspace.recipe.chat_template
        template = None if own is None else inputs.chat_template.given
        save_merged_model(pool.live.module, folder, inputs.base_folder, facts, template)
    return MergedModel.of(to, facts)


def merged_pool(workspace: Workspace, mixture: Mixture, precision: Precision) -> ExpertPool:
    """The experts beside a module that holds their merge, and is saved as the base was.

    Args:
        workspace: The study.
        mixture: Shares of its domains.
        precision: Of the module's tensors.
    """
    from mixwise.scoring.worker.running_statistics import write_merge

    pool = _open_pool(workspace, precision)
    write_merge(pool, mixture, workspace.rule.bind(pool), workspace.statistics)
    return pool


def _choose(workspace: Workspace, text: str) -> Choice:
    """The mixture that a text names."""
    if text != BEST:
        return Choice(Mixture.parse(text, workspace.recipe.domain_names))
    study = workspace.study
    found = load_result(study, Recommendation)
    experts = {name: workspace.runs.expert(name).fingerprint for name in workspace.recipe.domains}
    is_of_these = (
        found is not None
        and found.provenance.recipe_alone == study.recipe.key
        and dict(found.provenance.experts) == experts
    )
    if found is None or not is_of_these:
        folder = study.folder
        raise StudyError(
            f"{folder}: no recommendation of these experts and this recipe: run `mixwise search "
            f"{folder}` first, or name a mixture"
        )
    mixture = Mixture.parse(str(found.mixture), workspace.recipe.domain_names)
    why = "The mixture is the one that the study recommends to train on."
    return Choice(mixture, why, found.proxy.metrics)


def _open_pool(workspace: Workspace, precision: Precision) -> ExpertPool:
    """The experts beside a module that is saved as the base was."""
    import torch

    from mixwise.models.live_model import LiveModel
    from mixwise.models.loading import load_module
    from mixwise.scoring.worker.evaluator import open_pool

    inputs = workspace.inputs
    module = load_module(
        inputs.base_folder,
        dtype=getattr(torch, precision),
        trust_remote_code=inputs.settings.trust_remote_code,
        auto_class=workspace.recipe.task_facts.auto_class,
    )
    if inputs.labels:
        module.config.id2label = dict(enumerate(inputs.labels))
        module.config.label2id = {name: index for index, name in enumerate(inputs.labels)}
    live = LiveModel(module.eval(), inputs.base)
    return open_pool(live, replace(workspace.merges, store=None))


def _facts(workspace: Workspace, pool: ExpertPool, choice: Choice, precision: str) -> MergeFacts:
    recipe, rule, inputs = workspace.recipe, workspace.rule, workspace.inputs
    shares, folder = choice.mixture.as_dict(), inputs.settings.recipe_folder
    given = {name: inputs.given_expert(name) for name in pool.experts}
    adapters = [c for n, c in pool.experts.items() if (given[n] or c).is_adapter]
    parts = tuple(
        MergedPart(
            name,
            _place(recipe.domains[name].expert or str(checkpoint.folder), folder),
            shares[name],
            checkpoint.fingerprint,
        )
        for name, checkpoint in pool.experts.items()
    )
    return MergeFacts(
        base=_place(recipe.base, folder),
        base_fingerprint=inputs.base.fingerprint,
        parts=parts,
        shares_by=recipe.shares_by.replace("_", " "),
        rule=rule.name,
        rule_source=rule.source,
        precision=precision,
        is_adapter=False,
        is_linear=rule.name == "linear" and not adapters,
        why=choice.why,
        metrics=choice.metrics,
    )


def _place(name: str, recipe_folder: Path) -> str:
    """A folder by its whole path; a model of the hub by its name."""
    local = recipe_folder / expand_user(name)
    return str(local.resolve()) if local.is_dir() else name


def _write_adapter(workspace: Workspace, choice: Choice, to: Path) -> MergedModel:
    from mixwise.merging.merged_adapter import save_merged_adapter
    from mixwise.merging.rules.rule import LinearRule
    from mixwise.merging.task_vectors.adapters import LoraExpert

    with new_folder(to) as folder:
        pool = _open_pool(workspace, "float32")
        rule = workspace.rule.bind(pool)
        experts = [vector for vector in pool.vectors if isinstance(vector, LoraExpert)]
        if len(experts) < len(pool.vectors):
            raise RecipeError(
                "an adapter can be written where all experts are plain LoRA adapters, but "
                f"`{pool.domains[0]}` is a full model: leave out `--adapter`"
            )
        if not isinstance(rule, LinearRule):
            raise RecipeError(
                f"merge rule `{rule.name}` combines weights and not adapters, so the merge is no "
                "adapter: leave out `--adapter`, or use `--rule linear`"
            )
        merge_weights = rule.coefficients(pool.shares(choice.mixture)).tolist()
        first = next(iter(pool.experts.values()))
        task = first.adapter_config.get("task_type")
        facts = replace(_facts(workspace, pool, choice, "float32"), is_adapter=True)
        save_merged_adapter(
            pool.live,
            experts,
            merge_weights,
            folder,
            base_name=facts.base,
            task_type=task,
            kept=pool.kept_tensors(choice.mixture),
        )
        save_card(folder, facts)
    return MergedModel.of(to, facts)
