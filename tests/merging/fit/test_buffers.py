from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mixwise.errors import CheckpointError
from mixwise.merging.fit.buffers import require_same_buffers
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.live_model import LiveModel


class Windowed(nn.Module):
    """A weight, a table of relative positions and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("relative_position_index", torch.arange(3))


def saved(folder: Path, changed: str = "") -> Checkpoint:
    folder.mkdir()
    tensors = {name: t + (name == changed) for name, t in Windowed().state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    return open_checkpoint(folder)


@pytest.fixture
def live(tmp_path: Path) -> LiveModel:
    return LiveModel(Windowed(), saved(tmp_path / "base"))


@pytest.mark.parametrize("name", ["bias", "norm.running_var", "norm.num_batches_tracked"])
def test_weights_and_statistics_of_batch_norm_may_differ(
    live: LiveModel, tmp_path: Path, name: str
) -> None:
    require_same_buffers(live, saved(tmp_path / "expert", name))


def test_a_table_of_relative_positions_that_differs_is_refused(
    live: LiveModel, tmp_path: Path
) -> None:
    expert = saved(tmp_path / "expert", "relative_position_index")
    with pytest.raises(CheckpointError, match="relative_position_index` is no parameter, but a"):
        require_same_buffers(live, expert)
