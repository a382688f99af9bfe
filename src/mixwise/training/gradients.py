"""Experts without training: one step from the base along a domain's mean gradient.

Notation:
    θ₀: base.  n: batches of a domain, as many as a trained expert takes steps.  η: learning rate.
    g_i = mean g_b and v_i = mean g_b² of domain i, over its batches at θ₀.  v̄ = mean v_i.

Method:
    The expert of domain i is θ₀ − η n g_i / (√v̄ + ε). All domains are divided by the same v̄, so
    that a mixture of steps is the step of the mixture's gradient; how long a step is taken is
    found when mixtures are scored (`mixwise.scoring.gradient_steps`). It is made in two parts:
    every domain's g_i and v_i are measured as a run that stays at the base, in transformers'
    Trainer, whose batches, precision and snapshots are those of a training run; then each step is
    taken, once v̄ is known.

Source:
    Averages of predictions of such experts rank mixtures of many domains where trained experts
    have a few steps, most of them warm-up: development beds, ``docs/science.md``. Gradients at a
    point along a run weigh domains in DoGE (Fan et al. 2024, arXiv 2310.15393).
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mixwise.engine.worker_cache import release_resident
from mixwise.errors import TrainingError
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE
from mixwise.training.failures import failures_explained
from mixwise.training.finetune import TrainerRun, build_model
from mixwise.training.job import OnStep, RunRecord, TrainingJob, load_record, save_record
from mixwise.training.launch import run_lock
from mixwise.training.mean_gradient import MeanGradient
from mixwise.training.run_files import hash_run_files, require_unchanged
from mixwise.training.run_folder import WORK, prepare_folder
from mixwise.training.saving import copy_tokenizer

GRADIENT_FILE = "gradient.safetensors"
_SHARED = ".shared.safetensors"  # no domain's name begins with a dot
_EPSILON = 1e-8


def measuring(job: TrainingJob) -> TrainingJob:
    """The run that measures the gradient of an expert's domain: it stays at the base.

    Args:
        job: The expert's, with a folder for gradients.
    """
    assert job.gradients is not None
    [domain] = job.mixture.support
    return job.model_copy(update={"output": job.gradients / domain, "tracking": None})


def is_measured(job: TrainingJob) -> bool:
    """Whether the gradient of an expert's domain is there.

    Args:
        job: The expert's.

    Raises:
        DamagedError: If a file of it is not what was written.
    """
    folder = measuring(job).output
    record = load_record(folder)
    if record is None or record.fingerprint != job.fingerprint:
        return False
    require_unchanged(folder, record)
    return True


def measure_gradient(job: TrainingJob, on_step: OnStep) -> RunRecord:
    """Measure g and v of an expert's domain, from wherever that was stopped.

    Args:
        job: The expert's.
        on_step: Called with the number of finished batches.

    Raises:
        TrainingError: If a loss is not finite; names the domain and the batch.
        ResourceError: If the disk or the memory is full.
        StudyError: If another process is measuring into the same folder.
    """
    release_resident()  # a model that was evaluated here: its memory is needed
    own = measuring(job)
    with run_lock(own.output):
        prepare_folder(own)
        return _measure(own, on_step)


def _measure(own: TrainingJob, on_step: OnStep) -> RunRecord:
    with failures_explained(own.output):
        run = TrainerRun(own, on_step)
        seconds = run.train()
        optimizer = getattr(run.trainer.optimizer, "optimizer", run.trainer.optimizer)
        assert isinstance(optimizer, MeanGradient)
        model = run.trainer.accelerator.unwrap_model(run.trainer.model)
        means = optimizer.means(dict(model.named_parameters()), own.n_steps)
        for name, tensors in zip((GRADIENT_FILE, SECOND_MOMENTS_FILE), means, strict=True):
            _require_finite(tensors, own)
            save_file(tensors, own.output / name)
        record = run.record(seconds)
        record = record.model_copy(update={"files": hash_run_files(own.output)})
        save_record(record, own.output)
    shutil.rmtree(own.output / WORK, ignore_errors=True)
    return record


def average_squares(jobs: Sequence[TrainingJob]) -> None:
    """Average v over all domains, a tensor of one domain at a time.

    Args:
        jobs: All experts'; their gradients must be measured.
    """
    files = [measuring(job).output / SECOND_MOMENTS_FILE for job in jobs]
    opened: list[Any] = [safe_open(file, framework="pt") for file in files]
    names = dict.fromkeys(name for one in opened for name in one.keys())  # noqa: SIM118
    averaged: dict[str, torch.Tensor] = {}
    for name in names:
        found = (one.get_tensor(name) for one in opened if name in one.keys())  # noqa: SIM118
        averaged[name] = functools.reduce(torch.add, found) / len(opened)
    shared = _shared_file(jobs[0])
    partial = shared.with_suffix(".partial")
    with failures_explained(shared.parent):
        save_file(averaged, partial)
        partial.replace(shared)


def take_step(job: TrainingJob) -> RunRecord:
    """Write the expert of a domain whose gradient is measured, once v̄ is known.

    Args:
        job: The expert's.

    Raises:
        TrainingError: If a tensor is not finite.
        ResourceError: If the disk or the memory is full.
    """
    prepare_folder(job)
    measured = measuring(job).output
    final = job.output / WORK / "final"
    with failures_explained(job.output):
        model = build_model(job)
        _move(model, job)
        shutil.rmtree(final, ignore_errors=True)
        model.save_pretrained(final, safe_serialization=True)
        shutil.copyfile(measured / SECOND_MOMENTS_FILE, final / SECOND_MOMENTS_FILE)
        copy_tokenizer(job.base, final, job.chat_template)
        for file in sorted(final.iterdir()):
            file.replace(job.output / file.name)
        found = load_record(measured)
        assert found is not None
        changes = {"method": "gradients", "files": hash_run_files(job.output)}
        record = found.model_copy(update=changes)
        save_record(record, job.output)
    shutil.rmtree(job.output / WORK, ignore_errors=True)
    return record


@torch.no_grad()
def _move(model: Any, job: TrainingJob) -> None:
    """θ₀ − η n g / (√v̄ + ε), a tensor at a time; tensors that no batch reached stay."""
    length = job.settings.learning_rate * job.n_steps
    parameters = dict(model.named_parameters())
    with (
        safe_open(measuring(job).output / GRADIENT_FILE, framework="pt") as gradient,
        safe_open(_shared_file(job), framework="pt") as squares,
    ):
        for name in gradient.keys():  # noqa: SIM118
            divided = gradient.get_tensor(name) / (squares.get_tensor(name).sqrt() + _EPSILON)
            parameters[name] -= (length * divided).to(parameters[name].dtype)
    _require_finite(parameters, job)


def _require_finite(tensors: dict[str, torch.Tensor], job: TrainingJob) -> None:
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            [domain] = job.mixture.support
            raise TrainingError(
                f"the gradient of tensor `{name}` on domain `{domain}` is not finite at the base: "
                "look at the data, or set `training.precision` to float32"
            )


def _shared_file(job: TrainingJob) -> Path:
    assert job.gradients is not None
    return job.gradients / _SHARED
