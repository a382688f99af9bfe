from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.jobs import ignore, make_job
from tests.training.test_run_folder import stop_at

from mixwise.engine.protocol import Stopped
from mixwise.errors import StudyError, TrainingError
from mixwise.training.launch import train


def test_two_processes_train_the_same_model_as_one(calm_base: Path, tmp_path: Path) -> None:
    alone = make_job(calm_base, tmp_path, "alone")
    shared = make_job(calm_base, tmp_path, "shared", processes_per_run=2)
    steps: list[int] = []
    train(alone, ignore)
    record = train(shared, steps.append)
    assert steps == list(range(1, record.n_steps + 1))
    left, right = (load_file(job.output / "model.safetensors") for job in (alone, shared))
    for name, tensor in left.items():
        assert torch.allclose(tensor, right[name], atol=1e-5), name


@pytest.mark.slow
def test_a_spread_run_that_is_told_to_stop_leaves_a_snapshot_and_goes_on_from_it(
    calm_base: Path, tmp_path: Path
) -> None:
    long = {"n_sequences": 600}  # it must not be at its end when it hears that it should stop
    whole = make_job(calm_base, tmp_path, "whole", snapshots=1).model_copy(update=long)
    job = make_job(calm_base, tmp_path, "spread", processes_per_run=2, snapshots=1)
    job = job.model_copy(update=long)
    train(whole, ignore)
    with pytest.raises(Stopped):
        train(job, stop_at(2))
    [mark] = job.output.glob(".training/checkpoint-*/COMPLETE")
    stopped_at = int(mark.parent.name.split("-")[1])
    steps: list[int] = []
    record = train(job, steps.append)
    assert steps == list(range(stopped_at + 1, record.n_steps + 1))
    left, right = (load_file(run.output / "model.safetensors") for run in (whole, job))
    for name, tensor in left.items():
        assert torch.allclose(tensor, right[name], atol=1e-5), name


@pytest.mark.slow
def test_error_of_a_spread_run_is_ours(calm_base: Path, tmp_path: Path) -> None:
    job = make_job(calm_base, tmp_path, "run", processes_per_run=2, learning_rate=1e30)
    with pytest.raises(TrainingError, match="not finite at step"):
        train(job, ignore)


def test_second_process_on_one_run_is_refused(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run")
    job.output.mkdir()
    script = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, os.fspath(tmp_path / ".run.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyError, match="another process is training this run"):
            train(job, ignore)
        holder.kill()
    train(job, ignore)
