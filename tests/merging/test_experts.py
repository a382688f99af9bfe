from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mixwise.errors import CheckpointError
from mixwise.merging.checkpoint import open_checkpoint
from mixwise.merging.experts import ExpertPool, write_checkpoint
from mixwise.merging.live_model import LiveModel
from mixwise.merging.rules import RULES
from mixwise.mixture import Mixture

NAMES = ("a", "b", "c")
LINEAR = RULES["linear"]
Tensors = dict[str, torch.Tensor]


def make_expert(base: Path, folder: Path, seed: int) -> Path:
    shutil.copytree(base, folder)
    generator = torch.Generator().manual_seed(seed)
    tensors = load_file(base / "model.safetensors")
    moved = {k: t + 0.02 * torch.randn(t.shape, generator=generator) for k, t in tensors.items()}
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def edit(folder: Path, change: Callable[[Tensors], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def folders(pico_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("experts")
    return {name: make_expert(pico_base, root / name, seed) for seed, name in enumerate(NAMES)}


@pytest.fixture
def live(pico_base: Path) -> LiveModel:
    return LiveModel.load(open_checkpoint(pico_base))


def pool_of(live: LiveModel, folders: dict[str, Path]) -> ExpertPool:
    return ExpertPool(live, {name: open_checkpoint(path) for name, path in folders.items()})


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=3, max_size=3).filter(any))
def test_merge_equals_a_plain_script(
    pico_base: Path, folders: dict[str, Path], parts: list[int]
) -> None:
    shares = [part / sum(parts) for part in parts]
    live = LiveModel.load(open_checkpoint(pico_base))
    pool_of(live, folders).merge(Mixture(NAMES, tuple(shares)), LINEAR)
    states = [AutoModelForCausalLM.from_pretrained(folders[n]).state_dict() for n in NAMES]
    for name, tensor in live.module.state_dict().items():
        expected = sum(share * state[name] for share, state in zip(shares, states, strict=True))
        assert torch.allclose(tensor, expected, atol=1e-6), name


def test_one_domain_gives_that_expert_bit_for_bit(
    live: LiveModel, folders: dict[str, Path]
) -> None:
    pool = pool_of(live, folders)
    for name in NAMES:
        pool.merge(Mixture.single(NAMES, name), LINEAR)
        for key, tensor in load_file(folders[name] / "model.safetensors").items():
            assert torch.equal(live.tensors[live.aliases[key]], tensor)


def test_merges_leave_no_trace_in_later_ones(live: LiveModel, folders: dict[str, Path]) -> None:
    pool = pool_of(live, folders)
    first = Mixture(NAMES, (0.2, 0.3, 0.5))
    pool.merge(first, LINEAR)
    before = {name: tensor.clone() for name, tensor in live.tensors.items()}
    pool.merge(Mixture.single(NAMES, "b"), LINEAR)
    pool.merge(first, LINEAR)
    assert all(torch.equal(live.tensors[name], tensor) for name, tensor in before.items())


def test_writing_the_base_restores_it(
    live: LiveModel, folders: dict[str, Path], pico_base: Path
) -> None:
    pool_of(live, folders).merge(Mixture.uniform(NAMES), LINEAR)
    write_checkpoint(live, live.base)
    for key, tensor in load_file(pico_base / "model.safetensors").items():
        assert torch.equal(live.tensors[live.aliases[key]], tensor)


def test_tied_tensors_are_one(live: LiveModel) -> None:
    assert live.aliases["lm_head.weight"] == live.aliases["model.embed_tokens.weight"]
    assert len(live.tensors) < len(live.aliases)


def test_bfloat16_live_model_accumulates_in_float32(
    pico_base: Path, folders: dict[str, Path]
) -> None:
    live = LiveModel.load(open_checkpoint(pico_base), precision="bfloat16")
    pool_of(live, folders).merge(Mixture.uniform(NAMES), LINEAR)
    exact = LiveModel.load(open_checkpoint(pico_base))
    pool_of(exact, folders).merge(Mixture.uniform(NAMES), LINEAR)
    for name, tensor in live.tensors.items():
        assert torch.equal(tensor, exact.tensors[name].bfloat16())


def test_sharded_checkpoints_are_opened(
    live: LiveModel, folders: dict[str, Path], tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(folders["a"])
    model.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert (tmp_path / "sharded" / "model.safetensors.index.json").is_file()
    checkpoint = open_checkpoint(tmp_path / "sharded")
    write_checkpoint(live, checkpoint)
    for key, tensor in load_file(folders["a"] / "model.safetensors").items():
        assert torch.equal(live.tensors[live.aliases[key]], tensor)


def drop(tensors: Tensors) -> None:
    del tensors["model.norm.weight"]


def add(tensors: Tensors) -> None:
    tensors["model.extra.weight"] = torch.zeros(2)


def reshape(tensors: Tensors) -> None:
    tensors["model.embed_tokens.weight"] = torch.zeros(321, 16)


def halve(tensors: Tensors) -> None:
    for name in list(tensors):
        tensors[name] = tensors[name].half()


def untie(tensors: Tensors) -> None:
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (drop, r"tensor `model.norm.weight` is missing"),
        (add, r"tensor `model.extra.weight` is not part of the base"),
        (
            reshape,
            r"tensor `lm_head.weight|`model.embed_tokens.weight` must have shape \(320, 16\)",
        ),
        (halve, r"must be F32, as in the base, or F32, but got F16"),
        (untie, r"tensors .*lm_head.weight.* are tied in the base but differ"),
    ],
)
def test_expert_that_does_not_fit_is_refused_by_name(
    change: Callable[[Tensors], None],
    text: str,
    live: LiveModel,
    folders: dict[str, Path],
    tmp_path: Path,
) -> None:
    odd = Path(shutil.copytree(folders["a"], tmp_path / "odd"))
    edit(odd, change)
    with pytest.raises(CheckpointError, match=text):
        pool_of(live, folders | {"a": odd})


def test_other_vocabulary_is_refused(
    live: LiveModel, folders: dict[str, Path], tmp_path: Path
) -> None:
    odd = Path(shutil.copytree(folders["a"], tmp_path / "odd"))
    content = json.loads((odd / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    left, right = list(vocabulary)[300:302]
    vocabulary[left], vocabulary[right] = vocabulary[right], vocabulary[left]
    (odd / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"token .* \(300\) differs"):
        pool_of(live, folders | {"b": odd})


def test_precise_experts_of_a_coarse_base_are_accepted(
    pico_base: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    coarse = Path(shutil.copytree(pico_base, tmp_path / "coarse"))
    edit(coarse, halve)
    pool_of(LiveModel.load(open_checkpoint(coarse)), folders)


def test_experts_of_different_precision_are_refused(
    pico_base: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    coarse = Path(shutil.copytree(pico_base, tmp_path / "coarse"))
    odd = Path(shutil.copytree(folders["b"], tmp_path / "odd"))
    edit(coarse, halve)
    edit(odd, halve)
    live = LiveModel.load(open_checkpoint(coarse))
    with pytest.raises(CheckpointError, match="must be F32, as in"):
        pool_of(live, folders | {"b": odd})
