"""What a recipe cannot ask for where its experts are made by gradients at the base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixwise.kinds import KINDS

if TYPE_CHECKING:
    from mixwise.recipe.recipe import Recipe


def gradient_problems(recipe: Recipe) -> list[str]:
    """What stands against ``experts.method: gradients``, a line each.

    Args:
        recipe: One whose names and sets are in order.
    """
    training, wanted = recipe.training, recipe.experts
    against = {
        "`training.method` is lora, whose adapters begin at zero and have half a gradient there": (
            training.method == "lora"
        ),
        "`training.optimizer` is sgd, but steps are divided as Adam divides": (
            training.optimizer == "sgd"
        ),
        "`training.processes_per_run` is more than 1, but a gradient is measured by one process": (
            training.processes_per_run > 1
        ),
        "`training.trajectory_checkpoints` is more than 0, but a step has no points along it": (
            training.trajectory_checkpoints > 0
        ),
        f"`task` is {recipe.task}, and gradients were measured for causal models alone": (
            recipe.task_facts.has_labels
        ),
        f"`proxy.answer` is {recipe.proxy.answer}, but only their predictions say anything": (
            recipe.proxy.answer not in ("auto", "predictions")
        ),
        "`proxy.continued` is false, but their steps are lengthened, which is continuing": (
            not recipe.proxy.continued
        ),
        f"`merge.rule` is {recipe.merge.rule}, but nothing is merged": (
            recipe.chosen_rule != "linear"
        ),
        "`engine.storage` is set, but gradients are written into one folder by all hosts": (
            recipe.engine.storage is not None
        ),
        "`final.start` is merged, but nothing is merged": recipe.final.start == "merged",
        "`evaluation.placement` is layers, but predictions are read from whole models": (
            recipe.evaluation.placement == "layers"
        ),
        "`experts.schedule` is no constant, but a single step has none": (
            wanted.schedule != "constant"
        ),
    }
    lines = [line for line, is_so in against.items() if is_so]
    lines += [
        f"`domains.{name}.expert` is an expert of yours, but all must be made alike"
        for name, domain in recipe.domains.items()
        if domain.expert is not None
    ]
    lines += [
        f"`evaluation.sets.{name}` is a {kind} set, which is given a merged model"
        for name, kind in recipe.set_kinds.items()
        if KINDS.find(kind).needs_whole_model
    ]
    chosen = {"metrics": recipe.objective.metrics, "floors": recipe.objective.floors}
    lines += [
        f"`objective.{key}.{k}` is {metric.set}/{metric.measure}, which predictions do not have"
        for key, metrics in chosen.items()
        for k, metric in enumerate(metrics)
        if not _is_likelihood(recipe, metric.set, metric.measure)
    ]
    return [
        f"`experts.method: gradients`: {line}: change it, or set `experts.method` to training or "
        "auto"
        for line in lines
    ]


def _is_likelihood(recipe: Recipe, set_name: str, measure: str) -> bool:
    [found] = [each for each in recipe.measures[set_name] if each.name == measure]
    return found.is_differentiable
