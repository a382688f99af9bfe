from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tests.families import Family, Tensors, edit
from tests.tiny_models import save_adapter

from mixwise.errors import CheckpointError
from mixwise.merging.fit.movement import measure_movement, require_moved
from mixwise.merging.task_vectors.task_vector import DirectTaskVector
from mixwise.models.checkpoint import open_checkpoint


def test_movement_is_that_of_the_task_vector(families: dict[str, Family]) -> None:
    family = families["untied"]
    live, expert = family.live(), open_checkpoint(family.experts["a"])
    movement = measure_movement(live, expert)
    vector = DirectTaskVector(live, expert)
    square = sum(float(vector.load(name).square().sum()) for name in live.tensors)
    assert movement.norm == pytest.approx(square**0.5, rel=1e-5)
    assert movement.unmoved == ()
    assert movement.n_matrices == 2 + 2 * 7
    require_moved(live, expert)


def test_matrices_that_did_not_move_are_named(families: dict[str, Family], tmp_path: Path) -> None:
    family = families["llama"]
    some = Path(shutil.copytree(family.base, tmp_path / "some"))

    def change(tensors: Tensors) -> None:
        tensors["model.layers.1.mlp.up_proj.weight"][-1, -1] += 1
        tensors["model.norm.weight"][0] += 1

    edit(some, change)
    movement = measure_movement(family.live(), open_checkpoint(some))
    assert len(movement.unmoved) == movement.n_matrices - 1
    assert "model.layers.1.mlp.up_proj.weight" not in movement.unmoved
    assert movement.norm == pytest.approx(2**0.5)
    require_moved(family.live(), open_checkpoint(some))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.filterwarnings("ignore:.*is saved in float64.*")
def test_expert_that_is_the_base_is_refused_in_any_precision(
    dtype: torch.dtype, families: dict[str, Family], tmp_path: Path
) -> None:
    family = families["gpt2"]
    same = Path(shutil.copytree(family.base, tmp_path / "same"))

    def change(tensors: Tensors) -> None:
        for name, tensor in tensors.items():
            tensors[name] = tensor.to(dtype)

    edit(same, change)
    live = family.live()
    with pytest.raises(
        CheckpointError, match=r"same: the expert equals the base in all \d+ tensors"
    ):
        require_moved(live, open_checkpoint(same))
    assert measure_movement(live, open_checkpoint(same)).norm == 0


def test_adapter_that_adds_zero_is_refused(families: dict[str, Family], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    family = families["llama"]
    live = family.live()
    adapter = save_adapter(open_checkpoint(family.base), tmp_path / "a", 1)
    require_moved(live, adapter)
    assert measure_movement(live, adapter).norm > 0
    path = adapter.folder / "adapter_model.safetensors"
    save_file({k: t * float("lora_B" not in k) for k, t in load_file(path).items()}, path)
    with pytest.raises(CheckpointError, match="the adapter adds zero to every weight"):
        require_moved(live, open_checkpoint(adapter.folder))
