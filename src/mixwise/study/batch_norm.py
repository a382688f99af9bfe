"""What a study of a model with batch norm needs: data to measure statistics on, and no slopes."""

from __future__ import annotations

from mixwise.data.examples import ExampleStream
from mixwise.data.pixels import ImageStream
from mixwise.errors import RecipeError
from mixwise.models.batch_norm import has_running_statistics
from mixwise.scoring.worker.running_statistics import StatisticsData
from mixwise.study.answers import Answers
from mixwise.study.inputs import Inputs

_NEEDS_SLOPES = ("newton", "mirror")


def keeps_statistics(inputs: Inputs) -> bool:
    """Whether the base keeps running statistics of batch norm, and is a classifier."""
    return bool(inputs.labels) and has_running_statistics(inputs.base.tensors)


def statistics_data(inputs: Inputs) -> StatisticsData | None:
    """What running statistics are measured on after a merge; None where the base keeps none."""
    if not keeps_statistics(inputs):
        return None
    streams: dict[str, ImageStream | ExampleStream] = {}
    for name in inputs.recipe.domains:
        stream = inputs.corpus(name).train
        assert isinstance(stream, ImageStream | ExampleStream)  # domains of labelled examples
        streams[name] = stream
    training, n_batches = inputs.recipe.training, inputs.recipe.evaluation.batch_norm_batches
    n_passes = training.n_passes  # each of which batch norm takes for a batch, as in training
    return StatisticsData(streams, n_batches * n_passes, training.batch_sequences // n_passes)


def require_batch_norm(inputs: Inputs, answers: Answers) -> None:
    """Refuse what a base with batch norm cannot have.

    Args:
        inputs: The recipe's inputs, opened.
        answers: Who answers for which metric.

    Raises:
        RecipeError: If a search needs slopes of merges, which have none, or statistics would be
            rounded, or be those of single examples.
    """
    recipe = inputs.recipe
    if not inputs.labels and has_running_statistics(inputs.base.tensors):
        raise RecipeError(
            "`base`: keeps running statistics of batch norm, which are no weights to average and "
            f"cannot be measured anew with `task: {recipe.task}`: use another base"
        )
    if not keeps_statistics(inputs):
        return
    problems = []
    if "merged" in answers.averaged and recipe.search.method in _NEEDS_SLOPES:
        problems.append(
            f"`search.method`: {recipe.search.method} needs slopes, and merges of a base with "
            "batch norm have none, because its statistics are measured anew after each: use auto, "
            "or set `proxy.answer: predictions`"
        )
    if recipe.training.method == "lora":
        problems.append(
            "`training.method`: an adapter does not hold the running statistics of batch norm, "
            "which its training moves, so that no expert could be opened again, but got lora: set "
            "it to full"
        )
    if recipe.evaluation.precision != "float32":
        problems.append(
            "`evaluation.precision`: the running statistics of batch norm are measured in float32, "
            f"but got {recipe.evaluation.precision}: leave it out"
        )
    training = recipe.training
    if training.batch_sequences < 2 * training.n_passes:
        problems.append(
            "`training.batch_sequences`: batch norm needs at least 2 examples of a batch, but got "
            f"{training.batch_sequences} in {training.n_passes} pass(es) "
            "(gradient_accumulation_steps × processes_per_run): raise it"
        )
    if problems:
        raise RecipeError(*problems)
