"""Train the base on a mixture: transformers' Trainer on an exact stream of sequences.

Method:
    Sequences are read in the blend's order. While the run lasts, Trainer's own snapshots stand in
    ``.training/``, each valid only with a mark that is written after it; a killed run goes on from
    the last valid one and ends in the same weights. At the end the checkpoint moves to its folder,
    the optimiser's mean squared gradients beside it, and ``run.json`` last.

Departures:
    With bfloat16 the master copy of the parameters stays in float32 (autocast), and checkpoints
    keep that copy: a short run moves many parameters by less than bfloat16 can tell.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.utils import logging as transformers_logging

from mixwise.data.blend import Blend
from mixwise.data.streams import NOT_LEARNED
from mixwise.engine.devices import choose_device
from mixwise.engine.protocol import Stopped
from mixwise.errors import (
    CheckpointError,
    TrainingError,
)
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.loading import load_module
from mixwise.training.failures import failures_explained
from mixwise.training.job import OnStep, RunRecord, TrainingJob, load_record, save_record
from mixwise.training.mean_gradient import MeanGradient
from mixwise.training.preparing import LabelLoss, prepare_module
from mixwise.training.run_files import hash_run_files
from mixwise.training.run_folder import MARK, WORK, prepare_folder
from mixwise.training.saving import (
    copy_tokenizer,
    save_model,
    save_second_moments,
)
from mixwise.training.spread import (
    agree_on_stop,
    agreed_snapshot,
    complete_snapshot,
    leave_together,
)
from mixwise.training.tracked import TrackingCallback

_SCHEDULES = {"constant": "constant_with_warmup", "cosine": "cosine", "linear": "linear"}


def finetune(job: TrainingJob, on_step: OnStep) -> RunRecord:
    """Train one run to its end, from wherever it was stopped.

    Args:
        job: The run.
        on_step: Called with the number of finished steps, from inside the run.

    Returns:
        The record of the run, also on disk; a finished run of the same fingerprint is returned
        as it is.

    Raises:
        TrainingError: If a loss is not finite; names the domain and the step.
        CheckpointError: If the base cannot be loaded.
        ResourceError: If the disk is full.
    """
    done = load_record(job.output)
    if done is not None and done.fingerprint == job.fingerprint:
        return done
    prepare_folder(job)
    return finetune_prepared(job, on_step)


def finetune_prepared(job: TrainingJob, on_step: OnStep) -> RunRecord:
    """Train one run in a folder that `prepare_folder` has been through; for spread runs too."""
    with failures_explained(job.output):
        return _train(TrainerRun(job, on_step))


def _train(run: TrainerRun) -> RunRecord:
    """Train to the end, and leave checkpoint and record."""
    seconds, folder = run.train(), run.job.output
    if not run.trainer.accelerator.is_main_process:
        leave_together()
        return run.record(seconds)
    run.save_checkpoint()
    record = run.record(seconds)
    record = record.model_copy(update={"files": hash_run_files(folder)})
    save_record(record, folder)
    shutil.rmtree(run.work, ignore_errors=True)
    leave_together()
    return record


class TrainerRun:
    """One run in this process: its model, its trainer and its folders.

    Args:
        job: The run; one that has a folder for gradients stays at the base.
        on_step: Called with the number of finished steps.
    """

    def __init__(self, job: TrainingJob, on_step: OnStep) -> None:
        transformers_logging.set_verbosity_error()
        self.job = job
        self.work = job.output / WORK
        job.require_tokens()
        self.blend = job.blend()
        self._tracked = [] if job.tracking is None else [TrackingCallback(job.tracking, self.work)]
        set_seed(job.seed)  # Trainer, dropout and PEFT's initialisation read the global generators
        self.trainer = _ExactTrainer(
            model=build_model(job),
            args=_arguments(job, self.work),
            train_dataset=_Sequences(job, self.blend),
            data_collator=_collate,
            compute_loss_func=LabelLoss(job.head_sizes) if job.labels else None,
            callbacks=[_Callbacks(job, on_step), *self._tracked],
            optimizer_cls_and_kwargs=_optimizer(job),
        )
        self.trainer.blend = self.blend
        self.trainer.remove_callback(PrinterCallback)  # it prints on stdout, which is ours

    def train(self) -> float:
        """Train to the end, from the last snapshot; its seconds."""
        started = time.perf_counter()
        is_finished = False
        try:
            self.trainer.train(resume_from_checkpoint=agreed_snapshot(self.work))
            is_finished = True
        finally:
            for tracked in self._tracked:
                tracked.close(is_finished=is_finished)
        return time.perf_counter() - started

    def save_checkpoint(self) -> None:
        """Save into the working folder, then move file by file: what stands outside is whole."""
        self._require_finite()
        final = self.work / "final"
        shutil.rmtree(final, ignore_errors=True)
        save_model(self.trainer, final)
        save_second_moments(self.trainer, final)
        copy_tokenizer(self.job.base, final, self.job.chat_template)
        for file in sorted(final.iterdir()):
            file.replace(self.job.output / file.name)

    def _require_finite(self) -> None:
        """The last step can diverge without a loss that shows it."""
        for name, parameter in self.trainer.model.named_parameters():
            if not torch.isfinite(parameter).all():
                shutil.rmtree(self.work)
                domains = ", ".join(f"`{domain}`" for domain in self.job.mixture.support)
                raise TrainingError(
                    f"tensor `{name}` is not finite after the last step "
                    f"({self.trainer.state.global_step}) on domain {domains}: lower "
                    f"`training.learning_rate` ({self.job.settings.learning_rate:g})"
                )

    def record(self, seconds: float) -> RunRecord:
        """What is known of the run.

        Args:
            seconds: That it took.
        """
        import transformers

        from mixwise import __version__

        logs = self.trainer.state.log_history
        return RunRecord(
            fingerprint=self.job.fingerprint,
            shares=self.job.token_mixture.as_dict(),
            seed=self.job.seed,
            n_tokens=self.job.n_tokens,
            n_steps=self.trainer.state.global_step,
            learning_rate=self.job.settings.learning_rate,
            repetitions=dict(zip(self.blend.domains, self.blend.repetitions, strict=True)),
            losses={int(log["step"]): float(log["loss"]) for log in logs if "loss" in log},
            seconds=seconds,
            versions={
                "mixwise": __version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            token_hashes=self.job.token_hashes,
        )


class _Sequences(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The blend as a dataset: item k is the k-th sequence of the run."""

    def __init__(self, job: TrainingJob, blend: Blend) -> None:
        streams = job.streams.values()
        self._rows = [stream.rows(job.sequence_length, job.start_of_text) for stream in streams]
        self._blend = blend

    def __len__(self) -> int:
        return len(self._blend.row)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rows = self._rows[self._blend.domain[index]]
        row = self._blend.row[index]
        return {key: torch.from_numpy(values) for key, values in rows.item(row).items()}


def _collate(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """One batch of rows; padding that none of them needs is cut."""
    batch = {key: torch.stack([item[key] for item in items]) for key in items[0]}
    if "attention_mask" not in batch:
        return batch
    longest = int(batch["attention_mask"].sum(dim=1).max())
    return {key: rows[:, :longest] if rows.ndim > 1 else rows for key, rows in batch.items()}


class _ExactTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped
    """Trainer that stops at the first loss that is not finite."""

    blend: Blend

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        """The batches of a step and their learned tokens; a step without any has the loss 0."""
        samples, n_learned = super().get_batch_samples(*args, **kwargs)
        return samples, n_learned.clamp(min=1) if torch.is_tensor(n_learned) else n_learned

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        """One batch; models that keep a cache do not look for documents in positions."""
        if "position_ids" in inputs:
            inputs = {**inputs, "use_cache": False}
        loss: Tensor = super().training_step(
            model, dict(inputs), *args, **kwargs
        )  # it takes labels out
        if not torch.isfinite(loss):
            raise TrainingError(self._explain(model, inputs))
        return loss

    def _explain(self, model: Any, inputs: Any) -> str:
        """Name the step and the domains of the sequences whose loss is not finite."""
        if not (inputs["labels"] != NOT_LEARNED).any():
            return (
                f"step {self.state.global_step + 1} holds no token that is learned, and this "
                "architecture's loss is a mean over them: raise `sequence_length` or "
                "`training.batch_sequences`, so that prompts fill no batch"
            )
        step, size = self.state.global_step, self.args.train_batch_size
        size *= self.args.gradient_accumulation_steps * self.args.world_size
        names = [self.blend.domains[i] for i in self.blend.domain[step * size : (step + 1) * size]]
        with torch.no_grad():
            model.eval()
            finite = [self._is_finite(model, inputs, k) for k in range(len(inputs["labels"]))]
        if len(finite) == len(names) and not all(finite):
            names = [name for name, is_finite in zip(names, finite, strict=True) if not is_finite]
        shown = ", ".join(f"`{name}`" for name in dict.fromkeys(names))
        return (
            f"the loss on domain {shown} is not finite at step {step + 1} of "
            f"{self.state.max_steps}: lower `training.learning_rate` "
            f"({self.args.learning_rate:g}) or look at the data"
        )

    def _is_finite(self, model: Any, inputs: Any, index: int) -> bool:
        """Whether one row of a batch has a finite loss by itself."""
        if self.compute_loss_func is None:
            row = inputs["input_ids"][index][None]
            return bool(torch.isfinite(model(input_ids=row, labels=row).loss))
        example = {key: rows[index][None] for key, rows in inputs.items() if key != "labels"}
        return bool(torch.isfinite(model(**example).logits).all())


class _Callbacks(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Progress, trajectory checkpoints, and the mark of a whole snapshot."""

    def __init__(self, job: TrainingJob, on_step: OnStep) -> None:
        self._job = job
        self._on_step = on_step
        self._trajectory = set(job.trajectory)
        self._is_stopped = False

    def on_step_end(
        self,
        args: Any,
        state: Any,
        control: Any,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        """Report the step; save a trajectory checkpoint where one is due, a snapshot if stopped."""
        if state.is_world_process_zero:
            self._save_trajectory(state.global_step, model)
        if not agree_on_stop(self._is_told_to_stop(state), args.device):
            return
        if state.global_step >= state.max_steps:
            return  # all that is left is to save the model
        if not self._job.settings.snapshots:
            raise Stopped
        self._is_stopped = True  # after the snapshot that this step now ends with
        control.should_save = True

    def _save_trajectory(self, step: int, model: Any) -> None:
        folder = self._job.output / "trajectory" / str(step)
        if step in self._trajectory and not folder.exists():
            partial = folder.with_name(f".{folder.name}")
            shutil.rmtree(partial, ignore_errors=True)
            getattr(model, "module", model).save_pretrained(partial)
            partial.replace(folder)

    def _is_told_to_stop(self, state: Any) -> bool:
        """Report the step; whoever takes the report may want the run to stop."""
        if not state.is_world_process_zero:
            return False
        try:
            self._on_step(state.global_step)
        except Stopped:
            return True
        return False

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark the snapshot as whole, once every process has written its part; stop if told."""
        snapshot = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        complete_snapshot(snapshot)
        if state.is_world_process_zero:
            (snapshot / MARK).touch()
        if self._is_stopped:
            raise Stopped


def build_model(job: TrainingJob) -> Any:
    """The base as a run trains it.

    Args:
        job: The run.

    Raises:
        CheckpointError: If the base has changed, or cannot be loaded.
    """
    if open_checkpoint(job.base).fingerprint != job.base_fingerprint:
        raise CheckpointError(
            f"{job.base}: the base has changed since the study was opened: put the old one back, "
            "or begin a new study"
        )
    model = load_module(
        job.base, trust_remote_code=job.trust_remote_code, auto_class=job.auto_class
    )
    if job.base_name:
        model.name_or_path = model.config._name_or_path = job.base_name
    if job.labels:
        model.config.id2label = dict(enumerate(job.labels))
        model.config.label2id = {name: index for index, name in enumerate(job.labels)}
    return prepare_module(model, job.settings, job.auto_class)


def _optimizer(job: TrainingJob) -> tuple[type[torch.optim.Optimizer], dict[str, Any]] | None:
    """What Trainer has no argument for: it knows SGD, but not its momentum."""
    settings = job.settings
    if job.gradients is not None:
        return MeanGradient, {"lr": settings.learning_rate}
    if settings.optimizer == "adamw":
        return None
    return torch.optim.SGD, {"lr": settings.learning_rate, "momentum": settings.momentum}


class _Arguments(TrainingArguments):  # type: ignore[misc]
    """Without a number on the CPU, of which no tensor can be loaded: older releases resume so."""

    @property
    def device(self) -> torch.device:
        """Where this process trains."""
        device: torch.device = super().device
        return torch.device("cpu") if device.type == "cpu" else device


def _arguments(job: TrainingJob, work: Path) -> TrainingArguments:
    settings = job.settings
    on_cpu = choose_device(settings.device) == "cpu"
    save_steps = -(-job.n_steps // (settings.snapshots + 1)) if settings.snapshots else 0
    return _Arguments(
        output_dir=str(work),
        per_device_train_batch_size=settings.batch_sequences // settings.n_passes,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        max_steps=job.n_steps,
        train_sampling_strategy="sequential",
        learning_rate=settings.learning_rate,
        lr_scheduler_type=_SCHEDULES[settings.schedule],
        warmup_steps=min(settings.warmup_steps, job.n_steps),
        weight_decay=settings.weight_decay,
        adam_beta1=settings.adam_beta1,
        adam_beta2=settings.adam_beta2,
        max_grad_norm=0.0 if job.gradients is not None else settings.max_grad_norm,  # 0: uncut
        optim="adamw_torch",
        seed=job.seed,
        bf16=settings.precision == "bfloat16",
        use_cpu=on_cpu,
        save_strategy="steps" if save_steps else "no",
        save_steps=max(save_steps, 1),
        save_total_limit=2,
        logging_steps=max(1, job.n_steps // 50),
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
    )
