"""What a recipe says otherwise, and cannot ask for, where its task has labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixwise.recipe.domains import portions
from mixwise.tasks import CAUSAL_LM, TASKS

if TYPE_CHECKING:
    from mixwise.recipe.recipe import Recipe

_INSTEAD = {"horizon_tokens": "horizon_examples", "sequence_length": "example_tokens"}


def count_examples(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keys of a recipe, examples counted by the key that counts tokens elsewhere.

    Args:
        values: As they were given, or those of a recipe that was read already, which has a
            ``sequence_length`` of 1.

    Raises:
        ValueError: If a key is one of the other tasks.
    """
    task = TASKS.get(str(values.get("task", CAUSAL_LM.name)))
    if task is None or not task.has_labels:
        if "horizon_examples" in values:
            raise ValueError(
                "`horizon_examples` is for tasks with labels: use `horizon_tokens`, or set "
                f"`task` to {' or '.join(row.name for row in TASKS.values() if row.has_labels)}"
            )
        return values
    if "horizon_examples" not in values and values.get("sequence_length") == 1:
        return values
    if task.has_images and "example_tokens" in values:
        raise ValueError(
            f"`example_tokens` cannot be with `task: {task.name}`, whose examples have none: leave "
            "it out (the size of images is that of the base's preprocessor_config.json)"
        )
    for key, other in _INSTEAD.items():
        if key in values:
            raise ValueError(
                f"`{key}` cannot be with `task: {task.name}`, which counts examples: use `{other}`"
            )
    counted = {key: value for key, value in values.items() if key != "horizon_examples"}
    if "horizon_examples" in values:
        counted["horizon_tokens"] = values["horizon_examples"]
    return {**counted, "sequence_length": 1}


def task_problems(recipe: Recipe) -> list[str]:
    """What cannot be with the recipe's task, a line each."""
    task = recipe.task_facts
    if not task.has_labels:
        of_labels = {row.set_kind for row in TASKS.values() if row.has_labels}
        problems = [
            f"`evaluation.sets.{name}.kind`: {kind} sets need a task with labels: set `task`"
            for name, kind in recipe.set_kinds.items()
            if kind in of_labels
        ]
        if recipe.sequence_length < 2:
            problems.append(
                "`sequence_length`: must be greater than 1, because the first token of a row "
                f"is never predicted, but got {recipe.sequence_length}: raise it"
            )
        return problems
    problems = [
        f"`evaluation.sets.{name}.kind`: a {kind} set cannot be with `task: {task.name}`: "
        f"use {task.set_kind}"
        for name, kind in recipe.set_kinds.items()
        if kind != task.set_kind
    ]
    refused = {
        "evaluation.placement": recipe.evaluation.placement == "layers",
        "document_masking": recipe.document_masking,
        "chat_template": recipe.chat_template is not None,
        "domains_from": recipe.domains_from is not None,
        "shares_by": recipe.shares_by == "supervised_tokens",
    }
    refused |= {  # rows of a stream are kept as JSON, which holds no images
        f"{each.key}.hub.stream_rows": each.source.hub is not None
        and each.source.hub.stream_rows is not None
        for name in (recipe.tokenised_sets if task.has_images else ())
        for each in portions(recipe.source(name), _key(recipe, name))
    }
    return problems + [
        f"`{key}`: what it asks for cannot be with `task: {task.name}` yet: leave it out"
        for key, is_asked in refused.items()
        if is_asked
    ]


def _key(recipe: Recipe, name: str) -> str:
    return f"domains.{name}" if name in recipe.domains else f"evaluation.sets.{name}"
