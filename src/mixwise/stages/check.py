"""Check: everything that can be known before training, and the plan with its price."""

from __future__ import annotations

import shutil
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from mixwise.decision.baselines import EVERY, baselines
from mixwise.engine.cluster import Cluster
from mixwise.engine.shared_folder import survey_hosts
from mixwise.engine.storage.engine import survey_stores
from mixwise.engine.worker_cache import give_memory_back
from mixwise.errors import DataError, RecipeError, ResourceError, first_line, printable
from mixwise.merging.fit.buffers import require_same_buffers
from mixwise.merging.fit.movement import require_moved
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rule_table import find_rule
from mixwise.merging.task_vectors.adapters import is_linear
from mixwise.mixture import Mixture
from mixwise.models.heads import is_of_head
from mixwise.models.live_model import LiveModel
from mixwise.recipe import Recipe
from mixwise.search.front import most_scored
from mixwise.search.method_table import method_for
from mixwise.share_units import largest_shares
from mixwise.stages.notes import notes_of
from mixwise.stages.probe import count_activations, require_finite, require_sound
from mixwise.stages.timing import measure_steps
from mixwise.stages.validate import choose_references
from mixwise.study.answers import choose_answers
from mixwise.study.batch_norm import require_batch_norm
from mixwise.study.cost import StudyCost, estimate
from mixwise.study.data_review import DataReview, review_data
from mixwise.study.devices import Fleet
from mixwise.study.inputs import Inputs
from mixwise.study.plan import Counts, DomainPlan, ModelShape, Plan, make_plan
from mixwise.study.repetition import expected_shares, short_run_rows
from mixwise.study.requirements import require_rule_needs
from mixwise.study.warnings import collect_warnings
from mixwise.study.workers import choose_seats, cluster_of, describe_hosts
from mixwise.tracking.tools import require_tools
from mixwise.training.lora import lora_config

_ROOM = 1.1  # free disk that must be there, as a multiple of what the study will take


@dataclass(frozen=True, slots=True)
class Checked:
    """A recipe that may run.

    Args:
        plan: What it will cost.
        review: What its data are like.
        warnings: What is allowed but should be known.
        notes: What was chosen for the recipe.
        reused: What is taken from another study, and what is not.
        cost: Time and money on devices that are not here; None where none are asked about.
    """

    plan: Plan
    review: DataReview
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    reused: tuple[str, ...] = ()
    cost: StudyCost | None = None


def run_check(
    inputs: Inputs,
    study_folder: Path,
    *,
    n_shown: int = 0,
    fleet: Fleet | None = None,
    price_per_hour: float | None = None,
) -> Checked:
    """Open every input, measure one step, and work out the plan; trains nothing.

    Args:
        inputs: The recipe's inputs.
        study_folder: Where the study will be written; need not exist.
        n_shown: Rows of each domain and text set to show.
        fleet: Devices that the study would run on instead; the memory and the disk of this
            machine need not hold it then.
        price_per_hour: Of one of them.

    Raises:
        MixwiseError: With every problem that was found, one a line.
    """
    recipe, search = inputs.recipe, inputs.recipe.search
    live = require_inputs(inputs)
    groups = search.domain_groups(recipe.domain_names)
    method = method_for(search.method, recipe.objective_terms, groups)
    design = method.design(inputs.space, search.budget, search.seed)
    n_groups = 0 if method.is_of_subsets else len(recipe.objective.front)
    n_front = most_scored(n_groups) if n_groups else 0
    answers = choose_answers(inputs, find_rule(recipe.chosen_rule))
    always = baselines(EVERY, inputs.available)
    cluster, seats = cluster_of(recipe), choose_seats(recipe)
    if cluster.is_elsewhere and recipe.engine.storage is not None:
        survey_stores(cluster, recipe.engine.storage)
    elif cluster.is_elsewhere:
        survey_hosts(cluster, study_folder, (inputs.base_folder, inputs.settings.cache))
    shape = _shape(live, inputs)
    plan = make_plan(
        recipe,
        _domains(inputs),
        Counts(
            horizons=inputs.horizons,
            n_candidates=(search.budget or len(design) + method.n_checks) + n_front,
            n_besides=sum(each.mixture not in design for each in always),
            candidate_passes=answers.passes(method.request),
            readings=answers.readings,
            n_baselines=len(baselines(recipe.final.baselines, inputs.available)),
        ),
        shape,
        evaluation_tokens=inputs.suite.n_tokens,
        n_workers=seats.n_workers,
    )
    if fleet is None:
        require_room(plan, study_folder, cluster, on_gpu=seats.n_devices > 0)
    has_begun = (study_folder / "experts").is_dir()
    measured = measure_steps(live, inputs, seats.n_threads, has_begun=has_begun)
    found = collect_warnings(live, inputs, plan)
    del live
    give_memory_back()  # this process waits while the workers train
    return Checked(
        replace(plan, seconds=plan.time(measured)),
        review_data(inputs, n_shown),
        tuple(found),
        (*notes_of(inputs), *filter(None, [describe_hosts(recipe)])),
        inputs.settings.kept.lines() if inputs.settings.kept else (),
        None
        if fleet is None
        else estimate(plan, shape, recipe, fleet, price_per_hour=price_per_hour),
    )


def require_inputs(inputs: Inputs) -> LiveModel:
    """Open every input and refuse what cannot work, before anything is trained.

    Returns:
        The base model, loaded.

    Raises:
        MixwiseError: With every problem that was found, one a line.
    """
    problems = inputs.problems()
    if problems:
        raise DataError(*problems)
    require_rule_needs(inputs)
    require_tools(inputs.recipe.tracking.to)
    search = inputs.recipe.search
    groups = search.domain_groups(inputs.recipe.domain_names)
    method = method_for(search.method, inputs.recipe.objective_terms, groups)
    method.design(inputs.space, search.budget, search.seed)
    choose_references(inputs)
    require_batch_norm(inputs, choose_answers(inputs, find_rule(inputs.recipe.chosen_rule)))
    live = LiveModel.load(
        inputs.base,
        trust_remote_code=inputs.settings.trust_remote_code,
        auto_class=inputs.recipe.task_facts.auto_class,
    )
    live.match(inputs.base)
    require_finite(live, inputs)
    if not inputs.recipe.task_facts.has_images:
        _require_embedding(live, inputs)
    _check_experts(live, inputs)
    if inputs.recipe.training.method == "lora":
        _require_lora_targets(live, inputs.recipe)
    require_sound(live, inputs)
    return live


def require_room(plan: Plan, study_folder: Path, cluster: Cluster, *, on_gpu: bool) -> None:
    """Refuse a study that the disk or the memory cannot hold; not of GPUs of other hosts.

    Args:
        plan: The plan.
        study_folder: Where the study will be written.
        cluster: The hosts that it runs on.
        on_gpu: Whether runs train on a GPU each, and not in the machine's own memory.

    Raises:
        ResourceError: Tells what is needed and what there is.
    """
    place = next(p for p in (study_folder, *study_folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    there = sum(file.stat().st_size for file in study_folder.rglob("*") if file.is_file())
    if (plan.disk_bytes - there) * _ROOM > free:
        raise ResourceError(
            f"{study_folder}: the study needs {plan.disk_bytes / 1e9:.2f} GB of "
            f"disk, but {free / 1e9:.2f} GB are free: free some, or lower "
            "`validation.mixtures` or `training.trajectory_checkpoints`"
        )
    needed, where = plan.memory_bytes, "this machine"
    memory = sum(host.memory_bytes for host in cluster.hosts)
    if cluster.is_elsewhere:
        where = "the cluster"
    elif on_gpu:
        import torch

        needed, where = plan.run_memory_bytes, "its GPU"
        memory = torch.cuda.get_device_properties(0).total_memory
    if needed > memory:
        raise ResourceError(
            f"training needs about {needed / 1e9:.1f} GB of memory, but {where} has "
            f"{memory / 1e9:.1f} GB: lower `engine.workers` or `training.batch_sequences`, or use "
            "`training.method: lora`"
        )


def _require_lora_targets(live: LiveModel, recipe: Recipe) -> None:
    """Refuse targets that match nothing, or a weight that the model uses in two places."""
    import torch
    from peft import inject_adapter_in_model

    targets = recipe.training.lora.target_modules
    if recipe.task_facts.has_labels and not isinstance(targets, str):
        for target in filter(is_of_head, targets):
            raise RecipeError(
                f"`training.lora.target_modules`: `{printable(target, 80)}` is of the classifier's "
                "head, which is trained in full beside adapters and gets none: leave it out"
            )
    with torch.device("meta"):
        shadow = type(live.module)(live.module.config)
    config = lora_config(shadow, recipe.training.lora, recipe.task_facts.auto_class)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PEFT only warns of is refused below
            inject_adapter_in_model(config, shadow)
    except Exception as error:  # PEFT raises errors of many kinds
        raise RecipeError(
            f"`training.lora.target_modules`: {first_line(error)}: name linear layers of the base, "
            "or `all-linear`"
        ) from None
    uses = Counter(live.aliases.values())
    own = {name for name, _ in live.module.named_modules()}  # PEFT adds some around joined experts
    adapted = [n for n, module in shadow.named_modules() if n in own and hasattr(module, "lora_A")]
    linear = [name for name in adapted if is_linear(live, name)]
    for name in adapted:
        if uses[live.aliases.get(f"{name}.weight", "")] > 1:
            raise RecipeError(
                f"`training.lora.target_modules`: the weight of `{name}` is used in another place "
                "too (tied), where an adapter leaves it alone, so no merged weight equals the "
                "adapter: leave it out"
            )
        if name not in linear:
            kind = type(live.module.get_submodule(name)).__name__
            remedy = "leave it out"
            if targets == "all-linear":  # PEFT takes joined experts and routers for linear layers
                ends = sorted({layer.rpartition(".")[2] for layer in linear})
                remedy = f"give the linear layers, [{', '.join(ends)}], in the place of all-linear"
            raise RecipeError(
                f"`training.lora.target_modules`: `{name}` is no linear layer ({kind}), and only "
                f"adapters of linear layers are merged: {remedy}"
            )


def _domains(inputs: Inputs) -> tuple[DomainPlan, ...]:
    recipe = inputs.recipe
    rows, even = [], expected_shares(inputs)
    upper = dict(zip(recipe.domains, inputs.space.reach()[1], strict=True))
    most = largest_shares(upper, inputs.available, inputs.available_tokens)
    for name, max_share in upper.items():
        facts = inputs.corpus(name).facts
        rows_read = short_run_rows(inputs, Mixture.single(recipe.domain_names, name)).get(name)
        read = facts.n_train_tokens if rows_read is None else rows_read * recipe.sequence_length
        expert_tokens = inputs.horizons.expert_steps * recipe.batch_tokens
        is_brought = recipe.domains[name].expert is not None
        rows.append(
            DomainPlan(
                name=name,
                n_documents=facts.n_documents,
                train_tokens=facts.n_train_tokens,
                heldout_tokens=facts.n_heldout_tokens,
                expert_repetition=0.0 if is_brought else expert_tokens / read,
                max_share=max_share,
                repetition_at_max=most[name] * recipe.run_tokens / facts.n_train_tokens,
                repetition_when_even=even[name] * recipe.run_tokens / facts.n_train_tokens,
            )
        )
    return tuple(rows)


def _shape(live: LiveModel, inputs: Inputs) -> ModelShape:
    config, recipe = inputs.config, inputs.recipe
    n_parameters = sum(tensor.numel() for tensor in live.tensors.values())
    n_trainable = n_parameters
    if recipe.training.method == "lora":
        rank, has_labels = recipe.training.lora.rank, recipe.task_facts.has_labels
        n_trainable = 0
        for name, tensor in live.tensors.items():
            if has_labels and is_of_head(name):
                n_trainable += tensor.numel()
            elif tensor.ndim == 2 and "embed" not in name:
                n_trainable += rank * sum(tensor.shape)
    if recipe.task_facts.has_images:
        counted = count_activations(live, inputs)
        return ModelShape(n_parameters, n_trainable, 0, 0, 0, example_activations=counted)
    return ModelShape(
        n_parameters,
        n_trainable,
        int(config.hidden_size),
        int(config.num_hidden_layers),
        int(config.vocab_size),
        int(getattr(config, "num_attention_heads", None) or 0),
    )


def _require_embedding(live: LiveModel, inputs: Inputs) -> None:
    rows = live.module.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    if inputs.tokenizer.vocabulary_size > rows:
        raise RecipeError(
            f"{inputs.base_folder}: the tokenizer has {inputs.tokenizer.vocabulary_size} tokens, "
            f"but the embedding only {rows} rows: use the tokenizer that belongs to the model"
        )


def _check_experts(live: LiveModel, inputs: Inputs) -> None:
    """Refuse experts of the user's that fit neither the base nor what will be merged with them."""
    brought = {name: inputs.expert_checkpoint(name) for name in inputs.recipe.domains}
    experts = {name: checkpoint for name, checkpoint in brought.items() if checkpoint is not None}
    if not experts:
        return
    ExpertPool(live, experts)
    for checkpoint in experts.values():
        require_moved(live, checkpoint)
        require_same_buffers(live, checkpoint)
    recipe = inputs.recipe
    extra_runs = find_rule(recipe.chosen_rule).extra_runs(recipe.domain_names)
    if len(experts) == len(brought) and not extra_runs:
        return
    first = next(iter(experts.values()))
    if first.is_adapter != (recipe.training.method == "lora"):
        kind = "an adapter" if first.is_adapter else "a full model"
        raise RecipeError(
            f"`training.method`: {first.folder} is {kind}, so the runs that are merged with "
            f"it must be too: set it to {'lora' if first.is_adapter else 'full'}"
        )
