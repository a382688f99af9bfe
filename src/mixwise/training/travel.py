"""What of a run travels between hosts that share no disk: where it writes, what it can go on from.

Method:
    A finished run is the files of its folder, ``run.json`` last. Of one that lasts it is the newest
    whole snapshot, with the checkpoints along the run; the snapshot's mark comes last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixwise.engine.storage.engine import Output
from mixwise.engine.storage.state import Written
from mixwise.training.job import RUN_FILE, TrainingJob, load_record
from mixwise.training.run_folder import MARK, NOTE, WORK


def output_of(job: Any) -> Output | None:
    """Where a training run writes; None for any other job."""
    return Output(job.output, job.fingerprint) if isinstance(job, TrainingJob) else None


def written_in(folder: Path) -> Written | None:
    """What a run could go on from, or its end; None while there is nothing.

    Args:
        folder: The run's.

    Raises:
        DamagedError: If its record is not what was written.
    """
    record = load_record(folder)
    if record is not None:
        return Written(record.n_steps, True, (*_files(folder, folder, RUN_FILE), RUN_FILE))
    work = folder / WORK
    marks = {int(mark.parent.name.split("-")[1]): mark for mark in work.glob(f"*-*/{MARK}")}
    if not marks or not (work / NOTE).is_file():
        return None
    step, mark = max(marks.items())
    files = (
        f"{WORK}/{NOTE}",
        *_files(folder / "trajectory", folder),
        *_files(mark.parent, folder, MARK),
        mark.relative_to(folder).as_posix(),
    )
    return Written(step, False, files)


def _files(place: Path, folder: Path, last: str = "") -> list[str]:
    """Files below a place, by their paths in a folder, without hidden ones and without the last."""
    found = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return [
        path.relative_to(folder).as_posix()
        for path in found
        if path != place / last
        and not any(part.startswith(".") for part in path.relative_to(place).parts)
    ]
