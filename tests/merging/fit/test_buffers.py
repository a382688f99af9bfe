from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tests.images import save_image_base

from mixwise.errors import CheckpointError
from mixwise.merging.fit.buffers import require_same_buffers
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel


def live_of(folder: Path) -> LiveModel:
    return LiveModel.load(open_checkpoint(folder), auto_class="AutoModelForImageClassification")


def changed(base: Path, folder: Path, name: str) -> Path:
    tensors = load_file(base / "model.safetensors")
    tensors[name] = tensors[name] + 1
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_bytes((base / "config.json").read_bytes())
    return folder


def test_a_table_of_relative_positions_that_differs_is_refused(tmp_path: Path) -> None:
    sizes = {"image_size": 16, "patch_size": 2, "window_size": 2, "embed_dim": 8}
    base = tmp_path / "base"
    save_image_base(base, "swin", **sizes, depths=[1, 1], num_heads=[1, 1])
    live = live_of(base)
    state = live.module.state_dict()
    table = next(name for name in state if name.endswith("relative_position_index"))
    weight = next(name for name in state if name.endswith("relative_position_bias_table"))
    require_same_buffers(live, open_checkpoint(changed(base, tmp_path / "weight", weight)))
    expert = open_checkpoint(changed(base, tmp_path / "table", table))
    with pytest.raises(CheckpointError, match=r"relative_position_index` is no parameter"):
        require_same_buffers(live, expert)


def test_statistics_of_batch_norm_may_differ(tmp_path: Path) -> None:
    save_image_base(tmp_path / "base", "resnet")
    live = live_of(tmp_path / "base")
    name = next(name for name in live.tensors if name.endswith("running_var"))
    require_same_buffers(live, open_checkpoint(changed(tmp_path / "base", tmp_path / "a", name)))
