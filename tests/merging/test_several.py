from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.evaluation.likelihood.models import tiny_model

from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR, LinearRule, MergeRule, TensorRule
from mixwise.merging.several import merge_tensors
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.models.skeleton import Skeleton

NAMES = ("a", "b", "c")
MIXTURES = (
    Mixture(NAMES, (0.2, 0.5, 0.3)),
    Mixture(NAMES, (0.0, 1.0, 0.0)),
    Mixture(NAMES, (0.6, 0.0, 0.4)),
)
SQUARED = LinearRule("squared", "", coefficients=lambda shares: shares**2)
LARGEST = TensorRule(
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
