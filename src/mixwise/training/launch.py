"""Run a training job here, or spread over several processes by accelerate."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mixwise.errors import StudyError, TrainingError
from mixwise.training.finetune import OnStep, choose_device, finetune
from mixwise.training.job import RunRecord, TrainingJob, load_record


def train(job: TrainingJob, on_step: OnStep) -> RunRecord:
    """Train one job, in as many processes as its settings ask for.

    Args:
        job: The run.
        on_step: Called with the number of finished steps.

    Raises:
        TrainingError: If the run fails.
        StudyError: If another process is training into the same folder.
    """
    job.output.mkdir(parents=True, exist_ok=True)
    with _run_lock(job.output):
        if job.settings.processes_per_run == 1:
            return finetune(job, on_step)
        return _launch(job, on_step)


def _launch(job: TrainingJob, on_step: OnStep) -> RunRecord:
    n = job.settings.processes_per_run
    where = ["--cpu"] if choose_device(job.settings.device) == "cpu" else ["--multi_gpu"]
    with (
        tempfile.NamedTemporaryFile("w", suffix=".json") as file,
        tempfile.TemporaryFile("w+") as errors,
    ):
        file.write(job.model_dump_json())
        file.flush()
        command = [
            sys.executable,
            "-m",
            "accelerate.commands.launch",
            *where,
            "--num_processes",
            str(n),
            "--num_machines",
            "1",
            "--dynamo_backend",
            "no",
            "--mixed_precision",
            "no",
            "--main_process_port",
            "0",
            "-m",
            "mixwise.training.worker",
            file.name,
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            for line in process.stdout or ():
                if line.strip().isdigit():
                    on_step(int(line))
        finally:
            if process.poll() is None and sys.exc_info()[0] is not None:
                process.kill()
        code = process.wait()
        record = load_record(job.output)
        if code or record is None:
            errors.seek(0)
            lines = errors.read().splitlines()
            said = [line.removeprefix("mixwise: ") for line in lines if line.startswith("mixwise:")]
            raise TrainingError(
                (said or lines or [f"accelerate launch exited with {code}"])[0 if said else -1]
            )
    return record


@contextmanager
def _run_lock(folder: Path) -> Iterator[None]:
    """Hold the run's folder; the lock goes with the process that holds it, however it ends."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(
                f"{folder}: another process is training this run: wait for it or stop it"
            ) from None
        yield
    (folder / ".lock").unlink(missing_ok=True)
