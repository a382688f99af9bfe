from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tests.families import Family

from mixwise.merging.task_vectors.encoding import StorePrecision
from mixwise.merging.task_vectors.file_format import (
    Layout,
    part_file,
    tensor_offsets,
    write_task_vector,
)
from mixwise.merging.task_vectors.task_vector import DirectTaskVector
from mixwise.models.checkpoint import open_checkpoint

SHAPES = {"w": (3, 50), "scalar": (), "v": (128,)}


def test_tensors_begin_on_whole_blocks() -> None:
    assert tensor_offsets(SHAPES) == {"w": 0, "scalar": 256, "v": 384}
    assert Layout(SHAPES, "int8").n_elements == 512


def test_header_has_one_length_and_ends_on_a_block() -> None:
    layout = Layout(SHAPES, "int8")
    headers = [layout.header("abc", error) for error in (0.0, 0.123456789, 9e-12)]
    assert len({len(header) for header in headers}) == 1
    assert len(headers[0]) % 128 == 0
    content = json.loads(headers[1][8:])
    assert content["scales"]["data_offsets"] == [512, 512 + 4 * 4]
    assert content["__metadata__"]["relative_error"] == "1.234567890e-01"


@pytest.mark.parametrize(("precision", "dtype"), [("float32", "F32"), ("int8", "I8")])
def test_file_is_plain_safetensors(
    precision: StorePrecision, dtype: str, families: dict[str, Family], tmp_path: Path
) -> None:
    family = families["gpt2"]
    live, expert = family.live(), open_checkpoint(family.experts["b"])
    with (tmp_path / "file").open("w+b") as file:
        write_task_vector(file, live, expert, precision, "mark")
    with safe_open(tmp_path / "file", framework="pt") as opened:
        assert opened.metadata()["fingerprint"] == "mark"
        assert opened.get_slice("deltas").get_dtype() == dtype
        deltas = opened.get_tensor("deltas").float()
        if precision == "int8":
            deltas *= opened.get_tensor("scales").repeat_interleave(128)
    vector = DirectTaskVector(live, expert)
    for name, offset in tensor_offsets(
        {k: tuple(t.shape) for k, t in live.tensors.items()}
    ).items():
        delta = vector.load(name)
        got = deltas[offset : offset + delta.numel()].view(delta.shape)
        assert torch.allclose(got, delta, atol=0 if precision == "float32" else 3e-5)


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_text("old")
    with (
        pytest.raises(TypeError, match="bytes-like"),
        part_file(tmp_path / "a.safetensors") as file,
    ):
        file.write("text")  # type: ignore[arg-type]
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_leftovers_of_killed_builds_go_and_those_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "a-dead.part").write_text("left of a killed build")
    with (tmp_path / "a-alive.part").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with part_file(tmp_path / "a.safetensors") as file:
            file.write(b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-alive.part", "a.safetensors"]
    assert (tmp_path / "a.safetensors").read_bytes() == b"new"
