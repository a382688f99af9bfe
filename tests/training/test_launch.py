from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.jobs import ignore, make_job
from tests.training.test_run_folder import stop_at

from mixwise.engine.protocol import Stopped
from mixwise.engine.ray.wide_seat import free_port
from mixwise.engine.team import READY, DoneElsewhere, Team, call_in_team
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


@pytest.mark.slow
@pytest.mark.parametrize("has_shared_disk", [True, False])
def test_a_run_over_two_hosts_is_the_same_bytes_as_on_one(
    calm_base: Path, tmp_path: Path, has_shared_disk: bool
) -> None:
    alone = make_job(calm_base, tmp_path, "alone", processes_per_run=2, snapshots=1)
    first = make_job(calm_base, tmp_path, "first", processes_per_run=2, snapshots=1)
    folder = first.output if has_shared_disk else tmp_path / "other"
    other = first.model_copy(update={"output": folder})
    train(alone, ignore)
    port = free_port()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as hosts:
        teams = [
            Team(rank, (1, 1), "127.0.0.1", port, "127.0.0.1", has_shared_disk) for rank in (0, 1)
        ]
        ready = tmp_path / "ready"
        record = hosts.submit(call_in_team, train, teams[0], first, partial(note_ready, ready))
        while not ready.exists():
            assert not record.done(), record.result()
            time.sleep(0.1)
        part = hosts.submit(call_in_team, train, teams[1], other, partial(note_ready, ready))
        assert isinstance(part.exception(), DoneElsewhere)
        assert record.result().losses
    left, right = (run.output / "model.safetensors" for run in (alone, first))
    assert left.read_bytes() == right.read_bytes()
    if not has_shared_disk:  # the first host has the run
        names = {path.name for path in other.output.rglob("*") if path.is_file()}
        assert names <= {"fingerprint", "rng_state_1.pth"}


def note_ready(mark: Path, step: int) -> None:
    if step == READY:
        mark.touch()
