from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny_models import save_adapter, save_base, save_full_expert

from mixwise.diagnostics.geometry import (
    Geometry,
    block_of,
    common_steps,
    measure_geometry,
    measure_trajectory,
)
from mixwise.merging.pool import ExpertPool
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.live_model import LiveModel

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return save_base("llama untied", tmp_path_factory.mktemp("geometry") / "base")


def moved(base: Checkpoint, folder: Path, change: Callable[[Tensors], None]) -> Checkpoint:
    """The base with its tensors changed."""
    shutil.copytree(base.folder, folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return open_checkpoint(folder)


def scaled(factor: float, part: str = "") -> Callable[[Tensors], None]:
    """A change that scales the tensors whose names hold a part."""

    def change(tensors: Tensors) -> None:
        for name, tensor in tensors.items():
            if part in name:
                tensor.mul_(factor)

    return change


def measured(base: Checkpoint, *experts: Checkpoint) -> Geometry:
    named = {f"d{k}": expert for k, expert in enumerate(experts)}
    return measure_geometry(ExpertPool(LiveModel.load(base), named))


def test_task_vectors_along_the_base_and_against_it(base: Checkpoint, tmp_path: Path) -> None:
    more = moved(base, tmp_path / "more", scaled(1.1))
    less = moved(base, tmp_path / "less", scaled(0.8))
    found = measured(base, more, less)
    assert found.domains == ("d0", "d1")
    assert found.relative_sizes == pytest.approx((0.1, 0.2), rel=1e-5)
    assert np.array(found.cosines) == pytest.approx(np.array([[1, -1], [-1, 1]]), abs=1e-6)
    assert found.mean_cosine == pytest.approx(-1, abs=1e-6)
    for block in found.blocks:
        assert block.relative_sizes == pytest.approx((0.1, 0.2), rel=1e-4)


def test_a_block_that_one_expert_alone_moves(base: Checkpoint, tmp_path: Path) -> None:
    first = moved(base, tmp_path / "first", scaled(1.5, "layers.0."))
    both = moved(base, tmp_path / "both", scaled(1.5, "layers."))
    found = measured(base, first, both)
    blocks = {block.name: block for block in found.blocks}
    assert list(blocks) == ["embedding", "layer 0", "layer 1", "rest", "head"]
    assert blocks["layer 0"].cosines[0][1] == pytest.approx(1)
    assert blocks["layer 1"].relative_sizes == pytest.approx((0, 0.5), rel=1e-4)
    assert blocks["layer 1"].cosines == ((0.0, 0.0), (0.0, pytest.approx(1)))
    assert blocks["head"].relative_sizes == (0, 0)
    assert 0 < found.cosines[0][1] < 1


@pytest.mark.parametrize("kind", ["llama tied", "gpt2"])
@pytest.mark.parametrize("is_lora", [False, True])
def test_all_is_as_if_every_tensor_were_laid_end_to_end(
    kind: str, is_lora: bool, tmp_path: Path
) -> None:
    base = save_base(kind, tmp_path / "base")
    save = save_adapter if is_lora else save_full_expert
    experts = {name: save(base, tmp_path / name, k) for k, name in enumerate(("a", "b", "c"))}
    pool = ExpertPool(LiveModel.load(base), experts)
    found = measure_geometry(pool)
    names = list(pool.live.tensors)
    whole = np.array([laid(pool, vector, names) for vector in pool.task_vectors.values()])
    theta = np.concatenate([pool.base_tensor(n).double().numpy().ravel() for n in names])
    norms = np.linalg.norm(whole, axis=1)
    assert found.relative_sizes == pytest.approx(norms / np.linalg.norm(theta))
    assert np.array(found.cosines) == pytest.approx(whole @ whole.T / np.outer(norms, norms))
    square = np.zeros((3, 3))
    for block in found.blocks:
        members = [n for n in names if block_of(n) == block.name]
        part = np.array([laid(pool, vector, members) for vector in pool.task_vectors.values()])
        square += part @ part.T
        norm = np.linalg.norm(part, axis=1)
        safe = np.where(norm > 0, norm, 1)
        assert np.array(block.cosines) == pytest.approx(part @ part.T / np.outer(safe, safe))
    assert square == pytest.approx(whole @ whole.T)


def laid(pool: ExpertPool, vector: object, names: list[str]) -> np.ndarray:
    """A task vector as one row, zeros where it has nothing."""
    return np.concatenate(
        [
            vector.load(n).double().numpy().ravel()
            if n in vector
            else np.zeros(pool.live.tensors[n].numel())
            for n in names
        ]
    )


def test_halfway_along_a_straight_line(base: Checkpoint, tmp_path: Path) -> None:
    experts = {"a": moved(base, tmp_path / "a", scaled(1.2))}
    experts["b"] = moved(base, tmp_path / "b", scaled(1.2, "layers.1."))
    for name, part in (("a", ""), ("b", "layers.1.")):
        moved(base, tmp_path / "trajectory" / name / "4", scaled(1.1, part))
        moved(base, tmp_path / "trajectory" / name / "2", scaled(1.05, "layers."))
    folders = {name: tmp_path / "trajectory" / name for name in experts}
    moved(base, folders["a"] / "6", scaled(1.15))  # the other expert has none there
    pool = ExpertPool(LiveModel.load(base), experts)
    early, late = measure_trajectory(pool, folders)
    ends = measure_geometry(pool)
    assert (early.step, late.step) == (2, 4)
    assert late.progress == pytest.approx((0.5, 0.5), rel=1e-4)
    assert late.alignment == pytest.approx((1, 1))
    assert late.relative_sizes == pytest.approx(np.array(ends.relative_sizes) / 2, rel=1e-4)
    assert late.mean_cosine == pytest.approx(ends.mean_cosine, rel=1e-4)
    assert early.mean_cosine == pytest.approx(1)
    assert 0 < early.alignment[0] < 1


def test_without_checkpoints_there_is_no_trajectory(base: Checkpoint, tmp_path: Path) -> None:
    expert = moved(base, tmp_path / "a", scaled(1.2))
    pool = ExpertPool(LiveModel.load(base), {"a": expert})
    assert list(measure_trajectory(pool, {"a": tmp_path / "a" / "trajectory"})) == []
    assert common_steps([]) == ()


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("model.layers.11.self_attn.q_proj.weight", "layer 11"),
        ("model.layers.2.mlp.experts.7.up_proj.weight", "layer 2"),
        ("transformer.h.0.ln_1.bias", "layer 0"),
        ("model.embed_tokens.weight", "embedding"),
        ("transformer.wpe.weight", "embedding"),
        ("lm_head.weight", "head"),
        ("embed_out.weight", "head"),
        ("model.norm.weight", "rest"),
    ],
)
def test_blocks_are_told_from_names(name: str, block: str) -> None:
    assert block_of(name) == block
