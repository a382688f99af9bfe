"""Run a training job here, or spread over several processes by torch's launcher and accelerate."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mixwise.engine.protocol import Stopped
from mixwise.engine.worker_cache import release_resident
from mixwise.errors import BusyError, TrainingError
from mixwise.shortages import explain_failed_write
from mixwise.training.job import ERROR_PREFIX, OnStep, RunRecord, TrainingJob, load_record
from mixwise.training.run_folder import STOP, WORK, prepare_folder

_GRACE_SECONDS = 25.0  # within the time that the engine leaves a job

_ERROR_LINE = re.compile(r"(\[rank\d+\]:)?\s*[\w.]*(Error|Exception)\b")  # last of a traceback


def train(job: TrainingJob, on_step: OnStep) -> RunRecord:
    """Train one job, in as many processes as its settings ask for; or take a gradient's step.

    Args:
        job: The run.
        on_step: Called with the number of finished steps.

    Raises:
        TrainingError: If the run fails.
        BusyError: If another process is training into the same folder.
    """
    release_resident()  # a model that was evaluated here: its memory is needed
    with run_lock(job.output):
        record = load_record(job.output)
        if record is not None and record.fingerprint == job.fingerprint:
            return record
        if job.gradients is not None:
            from mixwise.training.gradients import take_step

            return take_step(job)
        if job.settings.processes_per_run == 1:
            from mixwise.training.finetune import finetune  # seconds to import

            return finetune(job, on_step)
        prepare_folder(job)
        return _launch(job, on_step)


def _launch(job: TrainingJob, on_step: OnStep) -> RunRecord:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file, tempfile.TemporaryFile() as log:
        file.write(job.model_dump_json())
        file.flush()
        command = _command(job, file.name)
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": str(_n_threads())},
        ) as process:
            try:
                for line in process.stdout or ():
                    if line.strip().isdigit():
                        on_step(int(line))
                code = process.wait()
            except Stopped:
                _stop(process, job)
                if load_record(job.output) is None:
                    raise
                code = 0  # it was at its end
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        record = load_record(job.output)
        if record is None:  # it is written last: with it the run is whole, however it ended
            log.seek(0)
            raise TrainingError(_reason(log.read().decode(errors="replace"), code))
    return record


def _stop(process: subprocess.Popen[str], job: TrainingJob) -> None:
    """Ask the processes of a run to leave a snapshot, and end those that don't in time.

    The worker that this runs in is ended itself some seconds later, if need be, and they with it.
    """
    try:
        (job.output / WORK / STOP).touch()
        process.communicate(timeout=_GRACE_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGKILL)


def _n_threads() -> int:
    import torch

    return torch.get_num_threads()


def _command(job: TrainingJob, job_file: str) -> list[str]:
    """Torch's own launcher: accelerate's starts one process alone on a CPU, whatever is asked."""
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc_per_node", str(job.settings.processes_per_run)),
        *("-m", "mixwise.training.worker", job_file, str(os.getpid())),
    ]


def _reason(log: str, code: int) -> str:
    """Our own one-line error if a process wrote one, else the last line of what they wrote."""
    lines = [line for line in log.splitlines() if line.strip()]
    ours = [line.removeprefix(ERROR_PREFIX) for line in lines if line.startswith(ERROR_PREFIX)]
    if ours:
        return ours[0]
    errors = [line for line in lines if _ERROR_LINE.match(line)] or lines[-1:]
    return (
        f"torch.distributed.run exited with {code}: {errors[0] if errors else 'it wrote nothing'}"
    )


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the run's folder; the lock goes with the process that holds it, however it ends.

    Args:
        folder: Of the run; made where it is not there.

    Raises:
        BusyError: If another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f".{folder.name}.lock").open("w")
    except OSError as error:
        raise explain_failed_write(error, folder) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"{folder}: another process is training this run: wait for it or stop it"
            ) from None
        yield
