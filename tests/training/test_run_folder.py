from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.jobs import STEPS, assert_same, ignore, make_job, weights

from mixwise.engine.protocol import Stopped
from mixwise.errors import ResourceError
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE
from mixwise.training.finetune import finetune
from mixwise.training.job import load_record


def stop_at(step: int) -> Callable[[int], None]:
    def on_step(done: int) -> None:
        if done >= step:
            raise Stopped

    return on_step


def test_a_run_that_is_told_to_stop_leaves_a_snapshot_of_that_step_and_goes_on_from_it(
    pico_base: Path, tmp_path: Path
) -> None:
    whole = make_job(pico_base, tmp_path, "whole", snapshots=1)
    stopped = whole.model_copy(update={"output": tmp_path / "stopped"})
    finetune(whole, ignore)
    with pytest.raises(Stopped):
        finetune(stopped, stop_at(5))
    assert (stopped.output / ".training" / "checkpoint-5" / "COMPLETE").is_file()
    assert load_record(stopped.output) is None
    steps: list[int] = []
    finetune(stopped, steps.append)
    assert steps == list(range(6, STEPS + 1))
    assert_same(weights(whole.output), weights(stopped.output))


def test_a_run_that_is_told_to_stop_at_its_last_step_is_finished(
    pico_base: Path, tmp_path: Path
) -> None:
    job = make_job(pico_base, tmp_path, "run")
    assert finetune(job, stop_at(STEPS)) == load_record(job.output)


def test_without_snapshots_a_stop_leaves_none(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run", snapshots=0)
    with pytest.raises(Stopped):
        finetune(job, stop_at(3))
    assert not list(job.output.glob(".training/checkpoint-*"))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_interrupted_run_ends_in_the_same_weights(
    method: str, pico_base: Path, tmp_path: Path
) -> None:
    whole = make_job(pico_base, tmp_path, "whole", method=method, lora={"rank": 2, "alpha": 4})
    finetune(whole, ignore)
    broken = whole.model_copy(update={"output": tmp_path / "broken"})

    def stop(step: int) -> None:
        if step == 8:
            raise InterruptedError("pulled the plug")

    with pytest.raises(ResourceError, match="pulled the plug"):
        finetune(broken, stop)
    assert load_record(broken.output) is None
    steps: list[int] = []
    finetune(broken, steps.append)
    assert steps[0] > 1, "it began anew"
    name = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    assert (whole.output / name).read_bytes() == (broken.output / name).read_bytes()
    moments = [load_file(job.output / SECOND_MOMENTS_FILE) for job in (whole, broken)]
    assert_same(*moments)


def test_killed_process_ends_in_the_same_weights(pico_base: Path, tmp_path: Path) -> None:
    whole = make_job(pico_base, tmp_path, "whole")
    finetune(whole, ignore)
    killed = whole.model_copy(update={"output": tmp_path / "killed"})
    (tmp_path / "job.json").write_text(killed.model_dump_json())
    script = (
        "import sys, os, signal; from pathlib import Path;"
        "from mixwise.training.finetune import finetune;"
        "from mixwise.training.job import TrainingJob;"
        "job = TrainingJob.model_validate_json(Path(sys.argv[1]).read_bytes());"
        "finetune(job, lambda step: step == 7 and os.kill(os.getpid(), signal.SIGKILL))"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "job.json")],
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    half = sorted((killed.output / ".training").glob("checkpoint-*"))[-1]
    (half / "COMPLETE").unlink()  # as if it had been killed while it wrote this snapshot
    finetune(killed, ignore)
    assert_same(weights(whole.output), weights(killed.output))


def test_snapshots_of_other_settings_are_not_resumed(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run")

    def stop(step: int) -> None:
        if step == 8:
            raise InterruptedError("pulled the plug")

    with pytest.raises(ResourceError, match="pulled the plug"):
        finetune(job, stop)
    steps: list[int] = []
    finetune(job.model_copy(update={"fingerprint": "other"}), steps.append)
    assert steps[0] == 1
