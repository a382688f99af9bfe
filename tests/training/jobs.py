"""A small run, and how its weights are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from mixwise.data.streams import TokenStream
from mixwise.models.checkpoint import open_checkpoint
from mixwise.recipe import Training
from mixwise.training.job import TrainingJob

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
