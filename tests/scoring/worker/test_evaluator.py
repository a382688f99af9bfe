from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.tiny_models import save_base, save_full_expert

from mixwise.errors import CheckpointError
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.scoring.worker.evaluator import open_pool
from mixwise.scoring.worker.job import MergeSettings


@pytest.mark.parametrize("is_stored", [False, True])
def test_expert_that_never_moved_is_refused_wherever_it_comes_from(
    is_stored: bool, tmp_path: Path
) -> None:
    base = save_base("llama tied", tmp_path / "base")
    moved = save_full_expert(base, tmp_path / "a", 0)
    same = open_checkpoint(Path(shutil.copytree(base.folder, tmp_path / "b")))
    store = tmp_path / "store" if is_stored else None
    live = LiveModel.load(base)
    settings = MergeSettings({"a": moved, "b": same}, "linear", store, "float32", (), ())
    with pytest.raises(CheckpointError, match="b: the expert equals the base in all"):
        open_pool(live, settings)
