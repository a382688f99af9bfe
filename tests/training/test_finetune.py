from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mixwise.data.streams import TokenStream
from mixwise.engine.protocol import Stopped
from mixwise.errors import CheckpointError, ResourceError, TrainingError
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE, open_checkpoint
from mixwise.models.loading import load_module
from mixwise.recipe import Lora, Training
from mixwise.training.finetune import finetune
from mixwise.training.job import TrainingJob, load_record

LENGTH, BATCH, STEPS = 16, 4, 12


def make_job(base: Path, folder: Path, output: str, **settings: object) -> TrainingJob:
    rng = np.random.default_rng(0)
    files = {}
    for name, low in (("alpha", 0), ("beta", 100)):
        files[name] = folder / f"{name}.u32"
        rng.integers(low, low + 100, 40 * LENGTH).astype(np.uint32).tofile(files[name])
    defaults: dict[str, object] = {
        "learning_rate": 3e-3,
        "batch_sequences": BATCH,
        "warmup_steps": 2,
        "device": "cpu",
        "snapshots": 4,
    }
    return TrainingJob(
        base=base,
        base_fingerprint=open_checkpoint(base).fingerprint,
        output=folder / output,
        streams={name: TokenStream(ids=file) for name, file in files.items()},
        shares=(0.5, 0.5),
        n_sequences=STEPS * BATCH,
        sequence_length=LENGTH,
        seed=3,
        settings=Training.model_validate(defaults | settings),
        fingerprint=f"test {settings}",
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def ignore(step: int) -> None:
    pass


def test_same_job_gives_same_weights_and_a_record(pico_base: Path, tmp_path: Path) -> None:
    first = make_job(pico_base, tmp_path, "first")
    second = first.model_copy(update={"output": tmp_path / "second"})
    record = finetune(first, ignore)
    finetune(second, ignore)
    assert_same(weights(first.output), weights(second.output))
    assert record == load_record(first.output)
    assert (record.n_steps, record.n_tokens) == (STEPS, STEPS * BATCH * LENGTH)
    assert not (first.output / ".training").exists()
    assert {p.suffix for p in first.output.iterdir() if p.is_file()} <= {".json", ".safetensors"}


def test_every_sequence_begins_with_the_start_of_text(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "begun").model_copy(update={"start_of_text": 319})
    finetune(job, ignore)
    for path in (stream.ids for stream in job.streams.values()):
        rows = np.fromfile(path, dtype=np.uint32).reshape(-1, LENGTH)
        rows[:, 0] = 319
        rows.tofile(path)
    other = job.model_copy(update={"output": tmp_path / "other", "start_of_text": None})
    finetune(other, ignore)
    assert_same(weights(job.output), weights(other.output))


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


def test_seed_and_mixture_change_the_weights(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "first")
    other_seed = job.model_copy(update={"output": tmp_path / "seed", "seed": 4})
    other_mix = job.model_copy(update={"output": tmp_path / "mix", "shares": (0.25, 0.75)})
    for one in (job, other_seed, other_mix):
        finetune(one, ignore)
    name = "model.norm.weight"
    values = [weights(one.output)[name] for one in (job, other_seed, other_mix)]
    assert not torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_equals_a_plain_adamw_loop(calm_base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    job = make_job(calm_base, tmp_path, "run")
    finetune(job, ignore)
    model = AutoModelForCausalLM.from_pretrained(calm_base)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    order = job.blend()
    streams = [
        np.fromfile(f, dtype=np.uint32).reshape(-1, LENGTH)
        for f in (stream.ids for stream in job.streams.values())
    ]
    rows = np.stack([streams[d][r] for d, r in zip(order.domain, order.row, strict=True)])
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1.0, step / 2)
        ids = torch.from_numpy(rows[step * BATCH : (step + 1) * BATCH].astype(np.int64))
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    trained = weights(job.output)
    moments = load_file(job.output / SECOND_MOMENTS_FILE)
    for name, parameter in model.named_parameters():
        assert torch.allclose(trained[name], parameter, atol=1e-6), name
        state = optimiser.state[parameter]
        expected = state["exp_avg_sq"] / (1 - 0.999 ** float(state["step"]))
        assert torch.allclose(moments[name], expected, rtol=1e-3, atol=1e-9), name


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


def test_loss_that_is_not_finite_names_domain_and_step(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run", learning_rate=1e30, warmup_steps=0)
    job = job.model_copy(update={"shares": (0.0, 1.0)})
    with pytest.raises(TrainingError, match=r"domain `beta` is not finite at step \d+ of 12"):
        finetune(job, ignore)
    assert load_record(job.output) is None


def test_trajectory_checkpoints_are_whole_folders(pico_base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    job = make_job(pico_base, tmp_path, "run", trajectory_checkpoints=2)
    finetune(job, ignore)
    folders = sorted((job.output / "trajectory").iterdir(), key=lambda p: int(p.name))
    assert [p.name for p in folders] == ["4", "8"]
    early = AutoModelForCausalLM.from_pretrained(folders[0]).state_dict()
    late = weights(job.output)
    assert not torch.equal(early["model.norm.weight"], late["model.norm.weight"])


def test_lora_saves_a_plain_adapter_folder(pico_base: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    job = make_job(
        pico_base, tmp_path, "run", method="lora", lora=Lora(rank=2, alpha=4).model_dump()
    )
    finetune(job, ignore)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(pico_base), job.output)
    assert any("lora_B" in name and p.abs().sum() > 0 for name, p in model.named_parameters())


def test_bfloat16_keeps_checkpoints_in_float32(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run", precision="bfloat16")
    finetune(job, ignore)
    assert {tensor.dtype for tensor in weights(job.output).values()} == {torch.float32}


def test_gradient_accumulation_gives_the_same_weights(calm_base: Path, tmp_path: Path) -> None:
    plain = make_job(calm_base, tmp_path, "plain")
    parts = make_job(calm_base, tmp_path, "parts", gradient_accumulation_steps=2)
    finetune(plain, ignore)
    finetune(parts, ignore)
    for name, tensor in weights(plain.output).items():
        assert torch.allclose(tensor, weights(parts.output)[name], atol=1e-5), name


def test_gradient_checkpointing_gives_the_same_weights(calm_base: Path, tmp_path: Path) -> None:
    plain = make_job(calm_base, tmp_path, "plain")
    frugal = make_job(calm_base, tmp_path, "frugal", gradient_checkpointing=True)
    finetune(plain, ignore)
    finetune(frugal, ignore)
    for name, tensor in weights(plain.output).items():
        assert torch.allclose(tensor, weights(frugal.output)[name], atol=1e-5), name


def test_a_base_that_changed_is_refused(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run")
    with pytest.raises(CheckpointError, match="the base has changed since the study"):
        finetune(job.model_copy(update={"base_fingerprint": "other"}), ignore)


@pytest.mark.parametrize("limit_bytes", [1_000, 60_000])
def test_full_disk_is_a_clear_error_and_nothing_is_lost(
    limit_bytes: int, pico_base: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands for a full disk: every larger write fails."""
    job = make_job(pico_base, tmp_path, "run")
    (tmp_path / "job.json").write_text(job.model_dump_json())
    script = (
        "import resource, sys; from pathlib import Path;"
        "from mixwise.training.finetune import finetune;"
        "from mixwise.training.job import TrainingJob;"
        "job = TrainingJob.model_validate_json(Path(sys.argv[1]).read_bytes());"
        "limit = int(sys.argv[2]);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit));"
        "finetune(job, lambda step: None)"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "job.json"), str(limit_bytes)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "ResourceError" in process.stderr.splitlines()[-1]
    assert "cannot be written" in process.stderr
    assert load_record(job.output) is None
    finetune(job, ignore)
    assert load_record(job.output) is not None


def masked(job: TrainingJob, is_learned: Callable[[int], bool]) -> TrainingJob:
    """The same job, of whose tokens those are learned that stand where this says."""
    streams = {}
    for name, stream in job.streams.items():
        n = stream.ids.stat().st_size // 4
        mask = stream.ids.with_name(f"{name}_mask_{job.output.name}.u8")
        np.array([is_learned(k) for k in range(n)], dtype=np.uint8).tofile(mask)
        streams[name] = stream.model_copy(update={"mask": mask})
    return job.model_copy(update={"streams": streams})


def test_a_mask_of_ones_is_no_mask(pico_base: Path, tmp_path: Path) -> None:
    plain = make_job(pico_base, tmp_path, "plain")
    ones = masked(make_job(pico_base, tmp_path, "ones"), lambda k: True)
    finetune(plain, ignore)
    finetune(ones, ignore)
    assert_same(weights(plain.output), weights(ones.output))


def test_the_loss_is_the_mean_over_learned_tokens(calm_base: Path, tmp_path: Path) -> None:
    job = make_job(calm_base, tmp_path, "run", learning_rate=1e-12, gradient_accumulation_steps=2)
    job = masked(job, lambda k: k % LENGTH > 11 or k % 100 > 70)
    losses = finetune(job, ignore).losses
    model = load_module(calm_base).eval()
    rows = [stream.rows(LENGTH, None) for stream in job.streams.values()]
    order = job.blend()
    for step, loss in losses.items():
        places = range((step - 1) * BATCH, step * BATCH)
        read = [rows[order.domain[k]].read(order.row[k]) for k in places]
        ids, labels = (torch.from_numpy(np.stack(part)) for part in zip(*read, strict=True))
        assert (labels == -100).any(dim=1).all()
        with torch.no_grad():
            logits = model(input_ids=ids).logits[:, :-1].flatten(0, 1)
        expected = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten())
        assert loss == pytest.approx(float(expected), rel=1e-4)


def test_a_step_without_learned_tokens_changes_nothing(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run", optimizer="sgd", momentum=0.0)
    job = masked(job, lambda k: False)
    record = finetune(job, ignore)
    assert set(record.losses.values()) == {0.0}
    assert_same(weights(pico_base), weights(job.output))
