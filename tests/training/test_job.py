from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.training.jobs import BATCH, LENGTH, STEPS, make_job

from mixwise.errors import DamagedError
from mixwise.mixture import Mixture
from mixwise.training.job import RUN_FILE, RunRecord, TrainingJob, load_record, save_record


def test_a_job_crosses_processes_as_text(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run")
    assert TrainingJob.model_validate_json(job.model_dump_json()) == job
    assert job.mixture == Mixture(("alpha", "beta"), (0.5, 0.5))
    assert (job.n_steps, job.n_tokens) == (STEPS, STEPS * BATCH * LENGTH)
    assert sum(job.blend().counts) == STEPS * BATCH


def test_an_unfinished_batch_is_a_step(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run")
    assert job.model_copy(update={"n_sequences": BATCH + 1}).n_steps == 2


def test_a_record_is_sealed(tmp_path: Path) -> None:
    record = RunRecord(
        fingerprint="f",
        shares={"alpha": 1.0},
        seed=1,
        n_tokens=64,
        n_steps=1,
        repetitions={"alpha": 0.5},
        losses={1: 2.5},
        seconds=0.1,
        versions={"torch": "2"},
    )
    assert load_record(tmp_path) is None
    save_record(record, tmp_path)
    assert load_record(tmp_path) == record
    content = json.loads((tmp_path / RUN_FILE).read_text())
    (tmp_path / RUN_FILE).write_text(json.dumps(content | {"seed": 2}))
    with pytest.raises(DamagedError, match=r"run\.json: .* delete the folder"):
        load_record(tmp_path)
