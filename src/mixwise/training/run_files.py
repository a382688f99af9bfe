"""The files of a finished run: what ``run.json`` vouches for, and whether it is still there.

Method:
    The record of a run holds the hash of every file that a result may rest on: tensors,
    configuration, tokenizer, second moments, and the checkpoints along the run. They are compared
    whenever the run is opened. Training is dear and a run that differs may be one that the user
    wants back, so such a folder is refused by name and never trained again unasked.
"""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path

from mixwise.errors import DamagedError, MixwiseWarning
from mixwise.files import HashFile, hash_file
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.training.job import RUN_FILE, Run, RunRecord, load_record, save_record

_SUFFIXES = {".safetensors", ".json", ".py", ".model", ".txt", ".jinja"}  # not a model card
_LOADED = {".safetensors", ".json", ".py"}  # one more of these may change what is loaded


def hash_run_files(folder: Path, hash_file: HashFile = hash_file) -> dict[str, str]:
    """Hash of each file that a result may rest on, by its path in the run's folder."""
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in _files(folder)}


def require_unchanged(
    folder: Path, record: RunRecord, hash_file: HashFile = hash_file, *, keeps: bool = True
) -> RunRecord:
    """Refuse a run whose files are not those that its record vouches for.

    The record of an older mixwise, which has no hashes, takes those of the files as they are.

    Args:
        folder: The run's folder.
        record: Its record.
        hash_file: Hashes a file; a study passes one that remembers unchanged files.
        keeps: Whether hashes that an older record takes are written into the folder; not into that
            of another study, which is only read.

    Returns:
        The record, with hashes.

    Raises:
        DamagedError: Names the first file that is missing, differs, or is not of the run.
    """
    if not record.files:
        return _adopt(folder, record, hash_file, keeps=keeps)
    again = f"delete the folder {folder} to train the run again"
    for name, expected in record.files.items():
        path = folder / name
        if not path.is_file():
            raise DamagedError(
                f"{path}: is missing, but the run has written it: restore it, or {again}"
            )
        if hash_file(path) != expected:
            raise DamagedError(
                f"{path}: is not the file that was trained (its hash differs): restore it, or "
                f"{again}; what was measured through it is measured anew"
            )
    for path in _files(folder):
        is_known = path.relative_to(folder).as_posix() in record.files
        if path.suffix in _LOADED and not is_known:
            raise DamagedError(f"{path}: was not written by the run: remove it, or {again}")
    return record


def open_run(job: Run, hash_file: HashFile = hash_file) -> Checkpoint | None:
    """Open the checkpoint of a finished run, once its files are found to be those of the run.

    Returns:
        The checkpoint; None when there is no finished run with these settings.

    Raises:
        DamagedError: If a file of it is not what was written, or if it was trained on other tokens.
    """
    record = load_record(job.output)
    if record is None or record.fingerprint != job.fingerprint:
        return None
    record = require_unchanged(job.output, record, hash_file)
    for name in job.mixture.support:
        trained, planned = record.token_hashes.get(name), job.token_hashes.get(name)
        if trained and planned and trained != planned:
            raise DamagedError(
                f"{job.output}: was trained on other tokens of `{name}` than its data gives now, "
                f"from a damaged cache: delete the folder {job.output} to train the run again"
            )
    return open_checkpoint(job.output, hash_file=hash_file)


def _files(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _SUFFIXES
        and path.is_file()
        and path != folder / RUN_FILE
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _adopt(folder: Path, record: RunRecord, hash_file: HashFile, *, keeps: bool) -> RunRecord:
    later = "every later change is found" if keeps else "a change of before cannot be found"
    warnings.warn(
        f"{folder / RUN_FILE}: an older mixwise recorded no hashes of the run's files: they are "
        f"taken as they are now, and {later}",
        MixwiseWarning,
        stacklevel=3,
    )
    adopted = record.model_copy(update={"files": hash_run_files(folder, hash_file)})
    if keeps:
        with contextlib.suppress(OSError):  # an archived study is only read: said again next time
            save_record(adopted, folder)
    return adopted
