"""The base, tried out on the study's own rows: refuses one whose scores would mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from mixwise.data.streams import TokenRows
from mixwise.errors import CheckpointError, EvaluationError, RecipeError, first_line
from mixwise.evaluation.likelihood.neighbours import find_neighbour, find_padding
from mixwise.evaluation.likelihood.packing import find_mixing
from mixwise.evaluation.likelihood.probe import (
    Difference,
    find_difference,
    find_leak,
    find_not_finite,
    find_not_finite_numbers,
    is_lack_of_memory,
    longest_read,
    reading_failure,
)
from mixwise.evaluation.likelihood.rows import Indices, batch_nats, make_batches
from mixwise.evaluation.likelihood.sets import LikelihoodSet
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import PreparedSuite
from mixwise.models.live_model import LiveModel
from mixwise.study.inputs import Inputs
from mixwise.study.workers import choose_own_device


def require_finite(live: LiveModel, inputs: Inputs) -> None:
    """Refuse a base with a number that is none.

    Raises:
        CheckpointError: Names the first tensor that holds NaN or an infinity.
    """
    name = find_not_finite(live.tensors)
    if name is not None:
        raise CheckpointError(
            f"{inputs.base_folder}: tensor `{name}` of the base holds numbers that are not finite: "
            "use weights that are whole"
        )


def require_sound(live: LiveModel, inputs: Inputs) -> None:
    """Refuse a base that cannot read the study's rows, or whose likelihoods mean nothing.

    The rows are read where the model is evaluated, in float32. A model that does not fit there as
    a whole stays where it is.

    Raises:
        CheckpointError: If the base is not causal, or its predictions are not finite.
        RecipeError: If a row is longer than the base can read; names the longest that it can. If
            documents of one row must not see each other, but do.
        EvaluationError: If the score of a row depends on the rows beside it.
    """
    recipe, sets = inputs.recipe, inputs.suite.likelihood_sets
    model: Any = live.module
    if recipe.evaluation.placement == "device":
        model = model.to(choose_own_device(recipe))
    if recipe.task_facts.has_labels:
        _require_labels(model, inputs, sets)
        return
    texts = [chosen for chosen in sets if isinstance(chosen, TextSet)]
    plain = [chosen for chosen in texts if chosen.heldout.is_plain]
    told: list[LikelihoodSet] = [*plain[:1]]  # all of them have rows of one length
    told += [chosen for chosen in sets if chosen not in plain]
    _require_readable(model, inputs, told)
    _require_causal(model, inputs, max((row.ids for row in texts[0].rows()), key=len))
    if recipe.document_masking:
        _require_apart(model, inputs)
    prepared = PreparedSuite.of(inputs.suite, model)
    differ = [line for chosen in told for line in _difference_of(model, inputs, prepared, chosen)]
    if differ:
        raise EvaluationError("\n".join(differ))


def count_activations(live: LiveModel, inputs: Inputs) -> int:
    """Numbers that the modules of a classifier put out for one example."""
    n_numbers = 0

    def count(module: Any, given: Any, output: Any) -> None:
        nonlocal n_numbers
        if isinstance(output, torch.Tensor) and not list(module.children()):
            n_numbers += output.numel()

    model: Any = live.module
    row = inputs.suite.likelihood_sets[0].rows()[0]
    [batch] = make_batches([row], 1, next(model.parameters()).device)
    handles = [module.register_forward_hook(count) for module in model.modules()]
    try:
        with torch.inference_mode():
            batch_nats(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return n_numbers


def _require_labels(model: Any, inputs: Inputs, sets: Sequence[LikelihoodSet]) -> None:
    """Each label has an output, and examples score alike alone and filled up in a batch.

    What fills them up is masked. A decoder that looks for an example's last token by the padding
    token of its configuration would read another one in silence, or none.
    """
    if model.config.num_labels != len(inputs.labels):
        raise CheckpointError(
            f"{inputs.base_folder}: config.json must name each of the {model.config.num_labels} "
            f"outputs, but names {len(inputs.labels)} labels: correct `id2label`"
        )
    try:
        found = _find_dependence(model, inputs, sets)
    except Exception as error:  # whatever the architecture's own code raises
        if is_lack_of_memory(error):
            raise
        raise CheckpointError(
            f"{inputs.base_folder}: the base cannot read a batch of labelled examples "
            f"({first_line(error)}): {_remedy(inputs)}"
        ) from None
    if found is not None and inputs.recipe.task_facts.has_images:
        raise CheckpointError(
            f"{inputs.base_folder}: an image scores {found.alone:.4f} nats alone, but "
            f"{found.batched:.4f} beside another: {_remedy(inputs)}"
        )
    if found is not None:
        raise CheckpointError(
            f"{inputs.base_folder}: an example of {found.n_tokens:,} tokens scores "
            f"{found.alone:.4f} nats alone, but {found.batched:.4f} when it is filled up to "
            f"{found.longest:,}: {_remedy(inputs)}"
        )
    prepared = PreparedSuite.of(inputs.suite, model)
    for chosen in sets:
        prepared.measure(model, chosen)  # refuses what is not finite


def _find_dependence(
    model: Any, inputs: Inputs, sets: Sequence[LikelihoodSet]
) -> Difference | None:
    """Whether an example is read by its neighbours: texts filled up, images beside another."""
    if not inputs.recipe.task_facts.has_images:
        rows = (row for chosen in sets for row in chosen.rows())
        return find_padding(model, max((row.ids for row in rows), key=len))
    largest = max(sets, key=lambda chosen: chosen.n_examples)
    first, *_, last = largest.rows()  # a row for each label, of which there are two or more
    assert first.label is not None  # sets of tasks with labels ask for them
    other = replace(last, label=replace(first.label, example=largest.n_examples))
    return find_neighbour(model, first, other)


def _remedy(inputs: Inputs) -> str:
    if inputs.recipe.task_facts.has_images:
        return "use weights, config.json and preprocessor_config.json that belong together"
    return "use a classifier that masks padding, as encoders do"


def _require_readable(model: Any, inputs: Inputs, sets: Sequence[LikelihoodSet]) -> None:
    """Every length that is trained on or evaluated gives finite predictions."""
    problems = []
    for chosen in sets:
        ids = max((row.ids for row in chosen.rows()), key=len)
        reason = reading_failure(model, ids)
        if reason is None:
            continue
        n_tokens = longest_read(model, ids)
        if n_tokens == 0:
            raise CheckpointError(_cannot_read(inputs, reason))
        problems.append(_too_long(inputs, chosen, len(ids), n_tokens, reason))
    if problems:
        raise RecipeError("\n".join(problems))


def _cannot_read(inputs: Inputs, reason: str) -> str:
    numbers = find_not_finite_numbers(inputs.config.to_dict())
    found = (
        f"config.json has {', '.join(numbers[:3])}: correct it"
        if numbers
        else ("use weights and a config.json that belong together")
    )
    return f"{inputs.base_folder}: the base cannot read two tokens of the data ({reason}): {found}"


def _too_long(
    inputs: Inputs, chosen: LikelihoodSet, length: int, n_tokens: int, reason: str
) -> str:
    reads = f"the base reads at most {n_tokens:,} of them ({reason})"
    if isinstance(chosen, TextSet):
        return (
            f"`sequence_length`: rows have {length:,} tokens, but {reads}: lower it to {n_tokens:,}"
        )
    return (
        f"`{inputs.key(chosen.name)}`: its longest row has {length:,} tokens, but {reads}: shorten "
        "its prompts, or give the base's true limit as `max_position_embeddings` in config.json, "
        "and prompts lose tokens at their beginning"
    )


def _require_causal(model: Any, inputs: Inputs, ids: Indices) -> None:
    leak = find_leak(model, ids)
    if leak is None:
        return
    switches = [
        key for key in ("causal", "is_decoder") if getattr(model.config, key, None) is False
    ]
    remedy = "give a decoder" + "".join(
        f", or set `{key}: true` in config.json if it was trained so" for key in switches[:1]
    )
    raise CheckpointError(
        f"{inputs.base_folder}: the base is not causal: changing token {leak.changed} of a row and "
        f"those behind it moves the prediction from token {leak.moved} by {leak.nats:.2g} nats, so "
        f"that no loss means anything: {remedy}"
    )


def _require_apart(model: Any, inputs: Inputs) -> None:
    recipe, start = inputs.recipe, inputs.tokenizer.start_of_text
    rows = inputs.corpus(recipe.domain_names[0]).train.rows(recipe.sequence_length, start)
    assert isinstance(rows, TokenRows)  # documents are masked in streams of them alone
    mixing = find_mixing(model, rows.read(0)[0])
    if mixing is not None:
        raise RecipeError(
            "`document_masking`: the base does not keep the documents of a row apart by "
            f"`position_ids` ({mixing}): set it to false, or give a base that does, such as a Llama"
        )


def _difference_of(
    model: Any, inputs: Inputs, prepared: PreparedSuite, chosen: LikelihoodSet
) -> list[str]:
    found = find_difference(model, prepared, chosen)
    if found is None:
        return []
    row = (
        f"`{inputs.key(chosen.name)}`: a row of {found.n_tokens:,} tokens scores {found.alone:.4f} "
        f"nats per token alone, but {found.batched:.4f}"
    )
    if found.after_shared_prompt:
        return [
            f"{row} after a prompt that is read once for all its choices, which mixwise cannot do "
            "with this architecture: leave the set out"
        ]
    return [
        f"{row} among {found.n_rows} rows of up to {found.longest:,} tokens, because the base "
        "reads a row by its neighbours: set `evaluation.batch_sequences: 1`"
    ]
