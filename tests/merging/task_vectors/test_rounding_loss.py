from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.families import Family, Tensors, edit, move

from mixwise.merging.task_vectors.rounding_loss import measure_rounding_loss
from mixwise.merging.task_vectors.task_vector import DirectTaskVector
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel


def cast(dtype: torch.dtype) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        for name in tensors:
            tensors[name] = tensors[name].to(dtype)

    return change


def energy(vector: DirectTaskVector, live: LiveModel) -> float:
    return sum(float(vector.load(name).double().square().sum()) for name in live.tensors)


def true_noise_share(exact: DirectTaskVector, saved: DirectTaskVector, live: LiveModel) -> float:
    lost = sum(
        float((exact.load(name) - saved.load(name)).double().square().sum())
        for name in live.tensors
    )
    return min(1.0, lost / energy(saved, live)) if energy(saved, live) else 1.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [3e-5, 1e-4, 3e-4, 1e-3, 1e-2])
def test_estimate_agrees_with_experts_whose_exact_values_are_known(
    size: float, dtype: torch.dtype, families: dict[str, Family], tmp_path: Path
) -> None:
    base = Path(shutil.copytree(families["llama"].base, tmp_path / "base"))
    edit(base, cast(dtype))
    exact = Path(shutil.copytree(base, tmp_path / "exact"))
    edit(exact, cast(torch.float32))
    edit(exact, move(1, size))
    saved = Path(shutil.copytree(exact, tmp_path / "saved"))
    edit(saved, cast(dtype))
    live = LiveModel.load(open_checkpoint(base))
    vectors = [DirectTaskVector(live, open_checkpoint(folder)) for folder in (exact, saved)]
    truth = true_noise_share(*vectors, live)
    loss = measure_rounding_loss(live, open_checkpoint(saved))
    assert loss.noise_share == pytest.approx(truth, rel=0.1, abs=0.005)


def test_float32_experts_have_lost_nothing(families: dict[str, Family]) -> None:
    family = families["llama"]
    loss = measure_rounding_loss(family.live(), open_checkpoint(family.experts["a"]))
    assert loss.noise_share < 1e-6
    assert loss.unmoved_share < 1e-3


def test_expert_that_did_not_move_is_all_noise(families: dict[str, Family]) -> None:
    family = families["llama"]
    loss = measure_rounding_loss(family.live(), open_checkpoint(family.base))
    assert (loss.noise_share, loss.unmoved_share) == (1.0, 1.0)
