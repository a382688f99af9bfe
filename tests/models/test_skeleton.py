from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.evaluation.likelihood.models import tiny_model

from mixwise.errors import CheckpointError
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.skeleton import Skeleton


def save_base(kind: str, folder: Path) -> Checkpoint:
    tiny_model(kind).save_pretrained(folder)
    return open_checkpoint(folder)


def test_every_tensor_is_in_one_layer_or_outside(tmp_path: Path) -> None:
    skeleton = Skeleton(save_base("llama-tied", tmp_path))
    inside = [name for layer in skeleton.layers for name in layer.names.values()]
    assert len(skeleton.layers) == 3
    assert sorted([*inside, *skeleton.outer]) == sorted(skeleton.live.tensors)
    assert set(skeleton.outer) == {"model.embed_tokens.weight", "model.norm.weight"}
    assert all(name.startswith("model.layers.1.") for name in skeleton.layers[1].names.values())


def test_takes_no_memory_until_it_is_filled(tmp_path: Path) -> None:
    skeleton = Skeleton(save_base("llama-tied", tmp_path))
    embedding = skeleton.module.get_input_embeddings()
    tensor = skeleton.live.tensors["model.embed_tokens.weight"]
    assert embedding.weight.is_meta
    assert tensor.untyped_storage().nbytes() == 4
    with pytest.raises(RuntimeError, match="refers to a single memory location"):
        skeleton.live.write("model.embed_tokens.weight", torch.zeros(50, 16))
    with skeleton.filled({"model.embed_tokens.weight": torch.ones(50, 16)}):
        assert embedding(torch.tensor([3])).sum().item() == 16
        assert skeleton.module.lm_head.weight.data_ptr() == embedding.weight.data_ptr()
    assert embedding.weight.is_meta
    assert skeleton.module.lm_head.weight.is_meta


def test_size_is_told_before_anything_is_read(tmp_path: Path) -> None:
    base = save_base("llama", tmp_path)
    assert Skeleton(base).n_bytes(["lm_head.weight"]) == 50 * 16 * 4
    assert Skeleton(base, precision="bfloat16").n_bytes(["lm_head.weight"]) == 50 * 16 * 2


def test_model_without_a_row_of_layers_is_an_error(tmp_path: Path) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(
        config.replace('"model_type": "llama"', '"model_type": "x"')
    )
    with pytest.raises(CheckpointError, match=r"the model cannot be built .*model type"):
        Skeleton(open_checkpoint(tmp_path))
