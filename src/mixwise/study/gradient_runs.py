"""All domains' gradients at the base: measured side by side, before any expert is moved."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from mixwise.engine.protocol import Engine
from mixwise.engine.worker_cache import release_resident
from mixwise.progress import OnProgress, Progress
from mixwise.training.job import OnStep, RunRecord, TrainingJob, load_record


def measure_gradients(jobs: Sequence[TrainingJob], engine: Engine, on_progress: OnProgress) -> None:
    """Measure what is not measured yet, and what all domains have in common.

    Nothing is done where every expert is there already.

    Args:
        jobs: The experts' runs.
        engine: Where batches are read.
        on_progress: Told after each batch of any domain.

    Raises:
        DamagedError: If a file of a gradient is not what was written.
        TrainingError: If a loss is not finite.
    """
    if all(_is_moved(job) for job in jobs):
        return
    from mixwise.training.gradients import average_squares, is_measured  # seconds to import

    waiting = [job for job in jobs if not is_measured(job)]
    release_resident()  # a model that was evaluated in this process
    batches = {job.output: 0 if job in waiting else job.n_steps for job in jobs}

    def on_step(k: int, step: int) -> None:
        batches[waiting[k].output] = step
        total = sum(job.n_steps for job in jobs)
        on_progress(Progress("measuring gradients", sum(batches.values()), total, "batches"))

    for _ in engine.run(_measure, waiting, on_step):
        pass
    average_squares(jobs)


def remove_gradients(folder: Path) -> None:
    """Remove what was measured, once every expert is moved; they are large.

    Args:
        folder: Of all gradients; need not exist.
    """
    shutil.rmtree(folder, ignore_errors=True)


def _measure(job: TrainingJob, on_step: OnStep) -> RunRecord:
    from mixwise.training.gradients import measure_gradient  # in the process that does it

    return measure_gradient(job, on_step)


def _is_moved(job: TrainingJob) -> bool:
    record = load_record(job.output)
    return record is not None and record.fingerprint == job.fingerprint
