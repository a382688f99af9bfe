"""What the recipe's merge rule needs, found out before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from mixwise.errors import RecipeError
from mixwise.merging.rule_table import find_rule
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE, Checkpoint
from mixwise.study.inputs import Inputs

_REMEDY = "or choose another `merge.rule`"


def require_rule_needs(inputs: Inputs) -> None:
    """Refuse a merge rule for which the experts will lack something.

    Args:
        inputs: The recipe's inputs.

    Raises:
        RecipeError: With every problem that was found, one a line.
    """
    needs = find_rule(inputs.recipe.chosen_rule).needs
    problems: list[str] = []
    if "second moments" in needs:
        problems += _without_second_moments(inputs)
    if "trajectories" in needs:
        problems += _without_trajectories(inputs)
    if problems:
        raise RecipeError(*problems)


def _without_second_moments(inputs: Inputs) -> Iterator[str]:
    recipe = inputs.recipe
    rule = f"merge rule `{recipe.chosen_rule}` needs the second moments of AdamW"
    brought = _brought(inputs)
    if len(brought) < len(recipe.domains):
        if recipe.training.optimizer != "adamw":
            yield (
                f"`training.optimizer`: {rule}, but got {recipe.training.optimizer}: set it to "
                f"adamw, {_REMEDY}"
            )
        if recipe.training.method == "lora":
            yield (
                f"`training.method`: {rule} for the model's own tensors, but got lora, which has "
                f"them for the adapters' factors: set it to full, {_REMEDY}"
            )
    for name, expert in brought.items():
        file = expert.folder / SECOND_MOMENTS_FILE
        if expert.is_adapter:
            yield (
                f"`domains.{name}.expert`: {rule} for the model's own tensors, but {expert.folder} "
                f"is an adapter: bring full models, {_REMEDY}"
            )
        elif not file.is_file():
            yield (
                f"`domains.{name}.expert`: {rule}, but {file} is missing: bring an expert that "
                f"mixwise trained, {_REMEDY}"
            )


def _without_trajectories(inputs: Inputs) -> Iterator[str]:
    recipe = inputs.recipe
    rule = f"merge rule `{recipe.chosen_rule}` needs checkpoints along every expert's run"
    brought = _brought(inputs)
    if len(brought) < len(recipe.domains) and not recipe.training.trajectory_checkpoints:
        yield (
            f"`training.trajectory_checkpoints`: {rule}, but got 0: set it to 1 or more, {_REMEDY}"
        )
    for name, expert in brought.items():
        yield (
            f"`domains.{name}.expert`: {rule}, but {expert.folder} was not trained in this study: "
            f"leave the key out, {_REMEDY}"
        )


def _brought(inputs: Inputs) -> dict[str, Checkpoint]:
    """The experts that the user brings, opened."""
    opened = {name: inputs.expert_checkpoint(name) for name in inputs.recipe.domains}
    return {name: expert for name, expert in opened.items() if expert is not None}
