"""Steps along gradients, against a plain script of the same batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.training.jobs import BATCH, LENGTH, assert_same, ignore, make_job, weights

from mixwise.engine.protocol import Stopped
from mixwise.errors import DamagedError
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE, open_checkpoint
from mixwise.training.gradients import (
    GRADIENT_FILE,
    average_squares,
    is_measured,
    measure_gradient,
    measuring,
)
from mixwise.training.job import TrainingJob, load_record
from mixwise.training.launch import train
from mixwise.training.run_files import open_run

STEPS, RATE = 3, 3e-3
NAMES = ("alpha", "beta")


def jobs(base: Path, folder: Path, **settings: object) -> list[TrainingJob]:
    folder.mkdir(exist_ok=True)
    whole = make_job(base, folder, "unused", **settings)
    return [
        whole.model_copy(
            update={
                "output": folder / "experts" / name,
                "gradients": folder / "gradients",
                "shares": tuple(float(name == other) for other in NAMES),
                "n_sequences": STEPS * BATCH,
            }
        )
        for name in NAMES
    ]


def make(chosen: list[TrainingJob]) -> None:
    for job in chosen:
        measure_gradient(job, ignore)
    average_squares(chosen)
    for job in chosen:
        train(job, ignore)


def gradients_by_hand(job: TrainingJob) -> list[dict[str, torch.Tensor]]:
    """One gradient a batch of the run, at the base."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(job.base).train()
    blend, found = job.blend(), []
    [ids] = [s.ids for name, s in job.streams.items() if name in job.mixture.support]
    rows = np.fromfile(ids, dtype=np.uint32).reshape(-1, LENGTH).astype(np.int64)
    for b in range(STEPS):
        batch = torch.from_numpy(rows[blend.row[b * BATCH : (b + 1) * BATCH]])
        model.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        found.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    return found


def test_experts_are_the_step_of_a_plain_script(calm_base: Path, tmp_path: Path) -> None:
    chosen = jobs(calm_base, tmp_path, learning_rate=RATE)
    make(chosen)
    by_hand = {name: gradients_by_hand(job) for name, job in zip(NAMES, chosen, strict=True)}
    base = load_file(calm_base / "model.safetensors")
    for name, job in zip(NAMES, chosen, strict=True):
        expert = weights(job.output)
        assert expert.keys() == base.keys()
        for tensor, before in base.items():
            squares = [g[tensor] ** 2 for batches in by_hand.values() for g in batches]
            divided = torch.stack(squares).mean(dim=0).sqrt() + 1e-8
            mean = torch.stack([g[tensor] for g in by_hand[name]]).mean(dim=0)
            expected = before - RATE * STEPS * mean / divided
            torch.testing.assert_close(expert[tensor], expected, rtol=1e-3, atol=1e-5)
        assert not torch.equal(expert["model.norm.weight"], base["model.norm.weight"])


def test_an_expert_is_a_checkpoint_with_its_record_and_moments(
    pico_base: Path, tmp_path: Path
) -> None:
    chosen = jobs(pico_base, tmp_path)
    make(chosen)
    for job in chosen:
        record = load_record(job.output)
        assert record is not None
        assert record.method == "gradients"
        assert (record.n_steps, record.n_tokens) == (STEPS, STEPS * BATCH * LENGTH)
        assert {SECOND_MOMENTS_FILE, "model.safetensors"} <= set(record.files)
        assert open_run(job) is not None
        assert open_checkpoint(job.output).fingerprint != job.base_fingerprint
        assert not (job.output / ".training").exists()
        assert (job.output / "tokenizer.json").is_file()


def test_a_killed_measurement_goes_on_and_ends_in_the_same(pico_base: Path, tmp_path: Path) -> None:
    whole, stopped = (jobs(pico_base, tmp_path / name)[0] for name in ("whole", "stopped"))
    measure_gradient(whole, ignore)
    seen: list[int] = []

    def stop(step: int) -> None:
        seen.append(step)
        if step == 2:
            raise Stopped

    with pytest.raises(Stopped):
        measure_gradient(stopped, stop)
    assert not is_measured(stopped)
    measure_gradient(stopped, seen.append)
    assert seen == [1, 2, 3]
    for file in (GRADIENT_FILE, SECOND_MOMENTS_FILE):
        assert_same(
            load_file(measuring(whole).output / file), load_file(measuring(stopped).output / file)
        )


def test_a_damaged_gradient_is_refused(pico_base: Path, tmp_path: Path) -> None:
    [job, _] = jobs(pico_base, tmp_path)
    measure_gradient(job, ignore)
    assert is_measured(job)
    assert not is_measured(job.model_copy(update={"fingerprint": "other"}))
    path = measuring(job).output / GRADIENT_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DamagedError, match=r"gradient.safetensors: is not the file"):
        is_measured(job)


def test_gradients_are_not_cut(pico_base: Path, tmp_path: Path) -> None:
    found = []
    for name, most in (("cut", 1e-6), ("whole", 1e6)):
        [job, _] = jobs(pico_base, tmp_path / name, max_grad_norm=most)
        measure_gradient(job, ignore)
        found.append(load_file(measuring(job).output / GRADIENT_FILE))
    assert_same(*found)
