"""Leftovers of processes that were killed: what nobody can go on from.

Only whoever holds the study's lock may take them away, and of a run only when nobody trains it.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from mixwise.study.folder import StudyFolder
from mixwise.training.job import RUN_FILE
from mixwise.training.run_folder import WORK


def remove_leftovers(study: StudyFolder) -> None:
    """Remove half-written files, and the snapshots and locks of runs that are finished.

    The snapshots of a run that is not finished stay: it goes on from them. What cannot be removed
    stays too, as it did before.
    """
    with contextlib.suppress(OSError):
        for folder in (study.folder, study.folder / "heldout", study.store_folder):
            for pattern in (".*.partial", ".*.partial.*"):
                for partial in folder.glob(pattern):
                    partial.unlink()
        for run in _finished_runs(study.folder):
            _clean(run)


def _finished_runs(folder: Path) -> Iterator[Path]:
    for kind in ("experts", "references"):
        yield from (path.parent for path in sorted(folder.glob(f"{kind}/*/{RUN_FILE}")))


def _clean(run: Path) -> None:
    lock = run.with_name(f".{run.name}.lock")
    if not lock.exists():
        shutil.rmtree(run / WORK, ignore_errors=True)
        return
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a process whose parent was killed, and that will end in a moment
            return
        shutil.rmtree(run / WORK, ignore_errors=True)
        lock.unlink()
