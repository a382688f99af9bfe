from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mixwise.errors import CheckpointError
from mixwise.models import loading
from mixwise.models.checkpoint import open_checkpoint


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


@pytest.mark.parametrize("name", ["\\u202egpj", "9" * 6000])
def test_what_a_header_holds_is_told_in_one_short_line(tmp_path: Path, name: str) -> None:
    header = f'{{"w": {{"dtype": "{name}", "shape": [1], "data_offsets": [0, 4]}}}}'.encode()
    (tmp_path / "config.json").write_text("{}")
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match="not a whole safetensors file") as told:
        open_checkpoint(tmp_path)
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 1000


def test_a_configuration_that_is_nested_too_deep_is_refused(
    pico_base: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    (copy / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"config.json: cannot be read"):
        open_checkpoint(copy)


def test_missing_shard_is_refused(pico_base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(pico_base).save_pretrained(tmp_path, max_shard_size="20KB")
    sorted(tmp_path.glob("model-*.safetensors"))[0].unlink()
    with pytest.raises(CheckpointError, match=r"`model-00001-of-.*` is missing"):
        open_checkpoint(tmp_path)


def shard(folder: Path) -> dict[str, str]:
    """Split a folder's file in two; returns the weight map of its index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {}
    for k, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2])):
        part = {name: tensors[name] for name in names}
        save_file(part, folder / f"s{k}.safetensors", metadata={"format": "pt"})
        weight_map |= dict.fromkeys(names, f"s{k}.safetensors")
    write_index(folder, weight_map)
    return weight_map


def write_index(folder: Path, weight_map: Any) -> None:
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_single_file_goes_before_an_index_and_alone_counts(pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    shard(copy)
    assert {e.file.name for e in open_checkpoint(copy).tensors.values()} == {
        "s0.safetensors",
        "s1.safetensors",
    }
    shutil.copy(pico_base / "model.safetensors", copy)
    checkpoint = open_checkpoint(copy)
    assert {e.file.name for e in checkpoint.tensors.values()} == {"model.safetensors"}
    assert checkpoint.fingerprint == open_checkpoint(pico_base).fingerprint


@pytest.mark.parametrize(
    "outside",
    ["../s0.safetensors", "/s0.safetensors", "a/../s0.safetensors", "x" * 300, "\x1b[2J", "a\x00"],
)
def test_index_that_leaves_the_folder_is_refused(
    outside: str, pico_base: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    weight_map = shard(copy)
    first = next(iter(weight_map))
    write_index(copy, weight_map | {first: outside})
    with pytest.raises(
        CheckpointError, match=rf"`{first}` must be in a file of this folder"
    ) as caught:
        open_checkpoint(copy)
    assert str(caught.value).isprintable()


def test_index_whose_file_lacks_a_tensor_is_refused(pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    weight_map = shard(copy)
    write_index(copy, weight_map | {"model.gone.weight": "s1.safetensors"})
    with pytest.raises(CheckpointError, match=r"`model.gone.weight` should be in `s1.safetensors`"):
        open_checkpoint(copy)


@pytest.mark.parametrize("weight_map", [{}, [], {"a": 1}, None])
def test_index_without_files_is_refused(weight_map: Any, pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    shard(copy)
    write_index(copy, weight_map)
    with pytest.raises(CheckpointError, match=r"index.json: names no files in `weight_map`"):
        open_checkpoint(copy)


def test_index_that_transformers_cannot_use_is_refused(pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shard(copy)}))
    with pytest.raises(CheckpointError, match=r"index.json: transformers cannot use it .*metadata"):
        open_checkpoint(copy)


def test_file_that_the_configuration_names_may_not_leave_the_folder(
    pico_base: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    shutil.copy(copy / "model.safetensors", tmp_path / "model.safetensors")
    config = json.loads((copy / "config.json").read_text())
    config["transformers_weights"] = "../model.safetensors"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"`transformers_weights` must name a file of this"):
        open_checkpoint(copy)


def test_adapter_without_its_configuration_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=r"without `adapter_config.json`"):
        open_checkpoint(tmp_path)


def test_empty_description_of_an_adapter_is_refused(pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"must describe an adapter, but is empty"):
        open_checkpoint(copy)


def test_whatever_transformers_answers_stays_in_the_folder(
    pico_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    for outside in (tmp_path / "model.safetensors", copy / ".." / "model.safetensors"):
        monkeypatch.setattr(loading, "files_to_load", lambda *_, file=outside: [file])
        with pytest.raises(CheckpointError, match=r"which is outside of it"):
            open_checkpoint(copy)


def test_checkpoint_in_use_goes_to_another_process(pico_base: Path) -> None:
    checkpoint = open_checkpoint(pico_base)
    tensor = checkpoint.load_tensor("model.norm.weight")
    copy = pickle.loads(pickle.dumps(checkpoint))
    assert copy == checkpoint
    assert torch.equal(copy.load_tensor("model.norm.weight"), tensor)
