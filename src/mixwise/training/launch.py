"""Run a training job here, in several processes, or in several of several hosts.

Method:
    Where a run is spread over hosts (a `Team`), the first does all that it does without others: it
    holds the run's folder, prepares it, and has the process that alone writes, reports steps and
    hears that it should stop. The others start their processes. Their folder is the first's, or,
    without a shared disk, their own, from which only snapshots are read.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mixwise.engine.protocol import Stopped
from mixwise.engine.team import READY, DoneElsewhere, Team, current_team
from mixwise.engine.worker_cache import release_resident
from mixwise.errors import BusyError
from mixwise.shortages import explain_failed_write
from mixwise.training.job import OnStep, RunRecord, TrainingJob, load_record
from mixwise.training.processes import Ended, run_processes
from mixwise.training.run_folder import prepare_folder


def train(job: TrainingJob, on_step: OnStep) -> RunRecord:
    """Train one job, in as many processes as its settings ask for; or take a gradient's step.

    Args:
        job: The run.
        on_step: Called with the number of finished steps.

    Raises:
        TrainingError: If the run fails.
        BusyError: If another process is training into the same folder.
        WorkerKilledError: If one of several processes was killed.
        DoneElsewhere: On a host of a team that is not the first, once its part is done.
    """
    release_resident()  # a model that was evaluated here: its memory is needed
    team = current_team()
    if team is not None and team.rank:
        _take_part(job, team)
        raise DoneElsewhere
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
    team = current_team()
    if team is not None and len(team.n_processes) > 1:
        on_step(READY)
    try:
        ended = run_processes(job, on_step, team)
    except Stopped:
        if load_record(job.output) is None:
            raise
        ended = Ended(0)  # it was at its end
    record = load_record(job.output)
    if record is None:  # it is written last: with it the run is whole, however it ended
        raise ended.explain()
    return record


def _take_part(job: TrainingJob, team: Team) -> None:
    """Run the processes of this host, which is not the first, to their end."""
    if not team.has_shared_disk:
        prepare_folder(job)
    ended = run_processes(job, lambda step: None, team)
    if ended.code:
        raise ended.explain()


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
