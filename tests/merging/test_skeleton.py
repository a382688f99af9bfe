from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.evaluation.models import tiny_model

from mixwise.errors import CheckpointError
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR, MergeRule
from mixwise.merging.skeleton import Skeleton, merge_tensors
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel

NAMES = ("a", "b", "c")
MIXTURES = (
    Mixture(NAMES, (0.2, 0.5, 0.3)),
    Mixture(NAMES, (0.0, 1.0, 0.0)),
    Mixture(NAMES, (0.6, 0.0, 0.4)),
)
SQUARED = MergeRule("squared", "", coefficients=lambda shares: shares**2)
LARGEST = MergeRule(
    "largest",
    "",
    combine=lambda name, deltas, shares: torch.stack(
        [s * d for s, d in zip(shares, deltas, strict=True)]
    ).amax(dim=0),
)


def make_folders(kind: str, root: Path) -> dict[str, Path]:
    """A base and three experts of one architecture."""
    model = tiny_model(kind)
    model.save_pretrained(root / "base")
    for seed, name in enumerate(NAMES):
        shutil.copytree(root / "base", root / name)
        generator = torch.Generator().manual_seed(seed)
        tensors = load_file(root / "base" / "model.safetensors")
        for tensor in tensors.values():
            tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))
        save_file(tensors, root / name / "model.safetensors", metadata={"format": "pt"})
    return {name: root / name for name in ("base", *NAMES)}


@pytest.fixture(scope="session")
def folders_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Path]]:
    made: dict[str, dict[str, Path]] = {}

    def get(kind: str) -> dict[str, Path]:
        if kind not in made:
            made[kind] = make_folders(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return get


def open_pool(live: LiveModel, folders: dict[str, Path]) -> ExpertPool:
    return ExpertPool(live, {name: open_checkpoint(folders[name]) for name in NAMES})


@pytest.mark.parametrize("rule", [LINEAR, SQUARED, LARGEST], ids=lambda rule: rule.name)
@pytest.mark.parametrize("kind", ["llama", "llama-tied", "gpt2", "mistral"])
def test_tensors_are_those_of_the_pool(
    kind: str, rule: MergeRule, folders_of: Callable[[str], dict[str, Path]]
) -> None:
    folders = folders_of(kind)
    base = open_checkpoint(folders["base"])
    skeleton, live = Skeleton(base), LiveModel.load(base)
    plain, pool = open_pool(live, folders), open_pool(skeleton.live, folders)
    merged = merge_tensors(pool, rule, MIXTURES, tuple(skeleton.live.tensors))
    for mixture, tensors in zip(MIXTURES, merged, strict=True):
        plain.merge(mixture, rule)
        assert tensors.keys() == live.tensors.keys()
        for name, expected in live.tensors.items():
            torch.testing.assert_close(tensors[name], expected, atol=1e-6, rtol=1e-6)


def test_every_tensor_is_in_one_layer_or_outside(
    folders_of: Callable[[str], dict[str, Path]],
) -> None:
    skeleton = Skeleton(open_checkpoint(folders_of("llama-tied")["base"]))
    inside = [name for layer in skeleton.layers for name in layer.names.values()]
    assert len(skeleton.layers) == 3
    assert sorted([*inside, *skeleton.outer]) == sorted(skeleton.live.tensors)
    assert set(skeleton.outer) == {"model.embed_tokens.weight", "model.norm.weight"}
    assert all(name.startswith("model.layers.1.") for name in skeleton.layers[1].names.values())


def test_takes_no_memory_until_it_is_filled(
    folders_of: Callable[[str], dict[str, Path]],
) -> None:
    skeleton = Skeleton(open_checkpoint(folders_of("llama-tied")["base"]))
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


def test_size_is_told_before_anything_is_read(
    folders_of: Callable[[str], dict[str, Path]],
) -> None:
    base = open_checkpoint(folders_of("llama")["base"])
    assert Skeleton(base).n_bytes(["lm_head.weight"]) == 50 * 16 * 4
    assert Skeleton(base, precision="bfloat16").n_bytes(["lm_head.weight"]) == 50 * 16 * 2


def test_rounds_to_the_precision(folders_of: Callable[[str], dict[str, Path]]) -> None:
    folders = folders_of("llama")
    base = open_checkpoint(folders["base"])
    coarse, fine = (Skeleton(base, precision=p) for p in ("bfloat16", "float32"))
    name = "model.layers.0.mlp.up_proj.weight"
    [[low], [high]] = (
        [t[name] for t in merge_tensors(open_pool(s.live, folders), LINEAR, MIXTURES[:1], [name])]
        for s in (coarse, fine)
    )
    assert torch.equal(low, high.bfloat16())


def test_model_without_a_row_of_layers_is_an_error(tmp_path: Path) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(
        config.replace('"model_type": "llama"', '"model_type": "x"')
    )
    with pytest.raises(CheckpointError, match=r"the model cannot be built .*model type"):
        Skeleton(open_checkpoint(tmp_path))
