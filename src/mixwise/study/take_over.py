"""Runs of another study put where this study looks for them.

Method:
    Tensors are linked where the disk allows it and all else is copied; nothing is moved, and the
    other study is only read. Every file is compared with the hash that its run recorded, and every
    run with what the recipe asks for now, which may not be what it asked for when the run was
    found. A run taken over has the fingerprint of this study's own job, so that every later command
    finds it, and its record says where it comes from. The record is written before the folder has
    its name: a process that is killed leaves a run whole or not at all, and the next one goes on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixwise.errors import StudyError
from mixwise.mixture import Mixture
from mixwise.shortages import explain_failed_write
from mixwise.study.inputs import Inputs
from mixwise.study.kept_runs import KeptRuns
from mixwise.study.reuse import Kind, fingerprint_there
from mixwise.study.runs import Runs
from mixwise.training.job import RUN_FILE, TrainingJob, load_record, save_record
from mixwise.training.run_files import require_unchanged

_LINKED = ".safetensors"  # large, and never written in place


def take_over(kept: KeptRuns, inputs: Inputs, runs: Runs) -> None:
    """Put runs of another study where this study looks for them; those that are there stay.

    Args:
        kept: What is taken.
        inputs: Those of this study's recipe.
        runs: This study's runs.

    Raises:
        StudyError: If a run is not in the other study any more, or is not what the recipe asks for.
        DamagedError: If a file of one is not what was written.
        ResourceError: If it cannot be written, as on a full disk.
    """
    source = Path(kept.source)
    for name in kept.experts:
        _take(source / "experts" / name, runs.expert_job(name), inputs, "expert")
    for reference in kept.references:
        mixture = _mixture_of(reference.shares, runs.recipe.domain_names)
        _take(source / reference.folder, runs.job(mixture, reference.seed), inputs, "reference")


def _mixture_of(shares: Mapping[str, float], names: Sequence[str]) -> Mixture:
    return Mixture(tuple(names), tuple(shares.get(name, 0.0) for name in names))


def _take(folder: Path, job: TrainingJob, inputs: Inputs, kind: Kind) -> None:
    """Put one run where a job would leave it."""
    there = load_record(job.output)
    if there is not None and there.fingerprint == job.fingerprint:
        return
    record = load_record(folder)
    if record is None:
        raise StudyError(
            f"{folder}: the run that this study goes on with is not there any more: restore it, or "
            "begin anew in another folder"
        )
    there_now = fingerprint_there(inputs, folder, record, kind, job.most_rows)
    if record.n_tokens != job.n_tokens or record.fingerprint != there_now:
        raise StudyError(
            f"{folder}: this study goes on with that run, which was trained with other data or "
            "settings than are asked for now: go back to the recipe that it fits, or run the new "
            "one in another folder with `--reuse`, which keeps what is still valid"
        )
    record = require_unchanged(folder, record, keeps=False)
    partial = job.output.with_name(f".{job.output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    others = shutil.ignore_patterns(RUN_FILE, ".*")
    try:
        shutil.copytree(folder, partial, copy_function=_link, ignore=others)
    except OSError as error:
        raise explain_failed_write(error, partial) from None
    shares = {name: record.shares.get(name, 0.0) for name in job.streams}
    repetitions = {name: record.repetitions.get(name, 0.0) for name in job.streams}
    save_record(
        record.model_copy(
            update={
                "fingerprint": job.fingerprint,
                "shares": shares,
                "repetitions": repetitions,
                "taken_from": record.taken_from or str(folder),
            }
        ),
        partial,
    )
    shutil.rmtree(job.output, ignore_errors=True)
    partial.rename(job.output)


def _link(source: str, target: str) -> str:
    """Tensors by a link where the disk allows it, all else by a copy."""
    if source.endswith(_LINKED):
        try:
            os.link(source, target)
        except OSError:
            return str(shutil.copy2(source, target))
        return target
    return str(shutil.copy2(source, target))
