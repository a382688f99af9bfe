"""The folder of a run while it lasts: what it can go on from, and nothing else.

Trainer's own snapshots stand in ``.training/``, each valid only with a mark that is written after
it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from mixwise.shortages import explain_failed_write
from mixwise.training.job import TrainingJob

WORK = ".training"
MARK = "COMPLETE"
NOTE = "fingerprint"  # in the working folder: whose snapshots these are
STOP = "stop"  # in the working folder: asks the processes of a spread run to stop


def prepare_folder(job: TrainingJob) -> None:
    """Leave in the run's folder only what this run can go on from.

    What a run with other settings has left is removed, and snapshots that were not written to their
    end. One process does this before any other opens the folder.

    Raises:
        ResourceError: If the folder cannot be written, as on a full disk.
    """
    try:
        _prepare(job)
    except OSError as error:
        raise explain_failed_write(error, job.output) from None


def _prepare(job: TrainingJob) -> None:
    note = job.output / WORK / NOTE
    if not note.is_file() or note.read_text() != job.fingerprint:
        for path in job.output.iterdir() if job.output.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        note.parent.mkdir(parents=True, exist_ok=True)
        partial = note.with_suffix(".partial")
        partial.write_text(job.fingerprint)
        partial.replace(note)
    (note.parent / STOP).unlink(missing_ok=True)
    for snapshot in note.parent.glob("checkpoint-*"):
        if not (snapshot / MARK).is_file():
            shutil.rmtree(snapshot)


def find_snapshots(work: Path) -> dict[int, Path]:
    """Snapshots by their step; `prepare_folder` has left only whole ones."""
    return {int(path.name.split("-")[1]): path for path in work.glob("checkpoint-*")}
