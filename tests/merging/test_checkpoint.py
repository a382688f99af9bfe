from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
import torch

from mixwise.errors import CheckpointError
from mixwise.merging.checkpoint import open_checkpoint


def test_fingerprint_is_that_of_the_content(pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    assert open_checkpoint(copy).fingerprint == open_checkpoint(pico_base).fingerprint
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    assert open_checkpoint(copy).fingerprint != open_checkpoint(pico_base).fingerprint


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        open_checkpoint(tmp_path / "nowhere")


def test_pickled_checkpoints_are_refused(pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"needs safetensors, but it holds `pytorch_model.bin`"
    ):
        open_checkpoint(copy)


def test_half_a_file_is_refused(pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        open_checkpoint(copy)


def test_missing_shard_is_refused(pico_base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(pico_base).save_pretrained(tmp_path, max_shard_size="20KB")
    sorted(tmp_path.glob("model-*.safetensors"))[0].unlink()
    with pytest.raises(CheckpointError, match=r"`model-00001-of-.*` is missing"):
        open_checkpoint(tmp_path)


def test_checkpoint_in_use_goes_to_another_process(pico_base: Path) -> None:
    checkpoint = open_checkpoint(pico_base)
    tensor = checkpoint.load_tensor("model.norm.weight")
    copy = pickle.loads(pickle.dumps(checkpoint))
    assert copy == checkpoint
    assert torch.equal(copy.load_tensor("model.norm.weight"), tensor)
