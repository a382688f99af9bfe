"""Short steps of a study, timed on its own rows: what the estimate of its time is made of.

Method:
    A training step is one of a run: its adapters, its precision, its checkpointing, backward and
    the optimiser's step, whose rate is zero, so that no number changes. Rows that are read for
    their likelihoods are timed by one batch of each set, held-out texts by one of the first. A set
    that is given the model itself is measured on the examples of a batch, because what it takes
    (answers that are written token by token, a program) cannot be told from its tokens.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mixwise.evaluation.likelihood.prefixes import why_unshared
from mixwise.evaluation.likelihood.rows import Batch, batch_nats
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.sets import EvaluationSet
from mixwise.evaluation.suite import PreparedSuite
from mixwise.models.live_model import LiveModel
from mixwise.recipe import Training
from mixwise.releases import disable_activation_checkpointing
from mixwise.scorer import Part
from mixwise.study.batch_norm import statistics_data
from mixwise.study.inputs import Inputs
from mixwise.study.plan import Measured
from mixwise.study.workers import choose_own_device
from mixwise.training.preparing import LabelLoss, prepare_module


def measure_steps(
    live: LiveModel, inputs: Inputs, n_threads: int, *, has_begun: bool = False
) -> Measured:
    """Time one training step, one evaluation and one reading of the rows; nothing is changed.

    Args:
        live: The base.
        inputs: The recipe's inputs.
        n_threads: Of one worker.
        has_begun: Whether the study has been measured before. A set that is one example, such as a
            program that runs for minutes, is then left out.

    Raises:
        EvaluationError: If a set cannot be measured, or gives what is no number.
    """
    torch.set_num_threads(n_threads)
    device = choose_own_device(inputs.recipe)
    live.module.to(device)
    shares = why_unshared(live.module) is None
    prepared = PreparedSuite(inputs.suite, device, share_prefixes=shares)
    read = {chosen.name: chosen for chosen in inputs.suite.likelihood_sets}
    of_a_token = _seconds_of_tokens(live.module, prepared)
    whole = {
        name: of_a_token[name] * sum(batch.n_tokens for batch in prepared.batches(chosen))
        for name, chosen in read.items()
    }
    evaluated = sum(of_a_token[name] * prepared.n_tokens_of(read[name]) for name in read)
    statistics = statistics_data(inputs)
    if statistics is not None:  # of each merge; forward passes as those of an evaluation
        evaluated += statistics.n_examples * max(of_a_token.values())
    asked = [
        chosen
        for chosen in inputs.suite.sets
        if chosen.name not in read and not (has_begun and chosen.n_examples == 1)
    ]
    objective = {metric.set_name for metric in inputs.recipe.objective_terms.metrics}
    return Measured(
        step_seconds=_seconds_of_a_step(live.module, inputs),
        evaluation_seconds=evaluated + sum(_seconds_of(each, prepared, live) for each in asked),
        reading_seconds=sum(whole.values()),
        objective_seconds=sum(whole[name] for name in objective & set(whole)),
    )


def _seconds_of_a_step(module: Any, inputs: Inputs) -> float:
    """One optimiser step of a run, all its micro-batches included."""
    recipe, settings = inputs.recipe, inputs.recipe.training
    n_micro = settings.gradient_accumulation_steps
    micro = settings.batch_sequences // settings.n_passes
    stream = inputs.corpus(recipe.domain_names[0]).train
    rows, n_rows = stream.rows(recipe.sequence_length, None), stream.n_rows(recipe.sequence_length)
    device = next(module.parameters()).device
    items = [rows.item(row) for row in range(min(micro, n_rows))]
    read: dict[str, Any] = {
        key: torch.from_numpy(np.stack([item[key] for item in items])).to(device)
        for key in items[0]
    }
    if recipe.document_masking:
        read["use_cache"] = False
    kept = [(buffer, buffer.clone()) for buffer in module.buffers()]  # batch norm counts batches
    before = dict(module.named_modules())
    trained = _as_trained(module, settings, recipe.task_facts.auto_class)
    parameters = [each for each in trained.parameters() if each.requires_grad]
    still = torch.optim.SGD if settings.optimizer == "sgd" else torch.optim.AdamW
    optimiser = still(parameters, lr=0.0)

    def loss_of(model: Any) -> Any:
        if not recipe.task_facts.has_labels:
            return model(**read).loss
        inputs_alone = {key: values for key, values in read.items() if key != "labels"}
        return LabelLoss(inputs.heads.sizes)(model(**inputs_alone), read["labels"])

    def pass_back() -> None:
        on_bfloat16 = settings.precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=on_bfloat16):
            loss = loss_of(trained)
        loss.backward()
        float(loss.detach())  # waits for the device

    pass_seconds = min(_time(pass_back) for _ in range(2)) * micro / len(items)
    step_seconds = min(_time(optimiser.step) for _ in range(2))
    module.zero_grad(set_to_none=True)
    _as_loaded(trained, settings)
    _put_back(module, before)
    for buffer, values in kept:
        buffer.copy_(values)
    return n_micro * pass_seconds + step_seconds


def _as_trained(module: Any, settings: Training, auto_class: str) -> Any:
    """The model as a run trains it; `_as_loaded` undoes it."""
    module.train()
    module.requires_grad_(requires_grad=settings.method == "full")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PEFT only warns of has been looked at
        return prepare_module(module, settings, auto_class)


def _as_loaded(trained: Any, settings: Training) -> None:
    module = trained.unload() if settings.method == "lora" else trained
    if settings.gradient_checkpointing:
        disable_activation_checkpointing(module)
        module.disable_input_require_grads()
    module.eval()


def _put_back(module: Any, before: Mapping[str, Any]) -> None:
    """Give a model the modules that it had: of a head PEFT leaves its own copy."""
    for name, own in before.items():
        if name and module.get_submodule(name) is not own:
            parent, _, last = name.rpartition(".")
            setattr(module.get_submodule(parent), last, own)


def _seconds_of_tokens(module: Any, prepared: PreparedSuite) -> dict[str, float]:
    """One token of each likelihood set, in batches of the usual size."""
    found: dict[str, float] = {}
    of_texts: float | None = None
    for chosen in prepared.suite.likelihood_sets:
        is_plain = isinstance(chosen, TextSet) and chosen.heldout.is_plain
        seconds = of_texts if is_plain else None
        if seconds is None:
            seconds = _seconds_of_a_token(module, prepared.batches(chosen))
        of_texts = seconds if is_plain else of_texts
        found[chosen.name] = seconds
    return found


def _seconds_of_a_token(module: Any, batches: Sequence[Batch]) -> float:
    middle = sorted(batches, key=lambda batch: batch.n_tokens)[len(batches) // 2]
    with torch.inference_mode():
        return _time(lambda: batch_nats(module, middle).cpu()) / middle.n_tokens


def _seconds_of(chosen: EvaluationSet, prepared: PreparedSuite, live: LiveModel) -> float:
    """One evaluation of a set that is given the model."""
    if chosen.n_examples > 1:  # what is opened once is not timed
        prepared.measure(live.module, chosen, Part(0, 1, chosen.n_examples))
    n_parts = max(1, chosen.n_examples // prepared.suite.batch_sequences)
    part = Part(0, 1, n_parts)
    seconds = _time(lambda: prepared.measure(live.module, chosen, part))
    return seconds * chosen.n_examples / len(part.examples(chosen.n_examples))


def _time(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started
