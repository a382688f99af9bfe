from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.study.test_text_classification import save_base

from mixwise.errors import CheckpointError
from mixwise.merging.kept_heads import KeptHeads
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR, LinearRule, MergeRule, TensorRule
from mixwise.merging.tangents import tangents_of
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel

NAMES = ("a", "b", "c")
ROWS = {"a": range(2), "b": range(2, 5), "c": range(5, 6)}
HEAD = ("classifier.weight", "classifier.bias")
HALVES = LinearRule("halves", "here", lambda shares: shares / 2)
SUMS = TensorRule("sums", "here", lambda name, deltas, shares: sum(deltas) * shares.sum())
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base of six outputs and three experts, which have moved all of them."""
    root = tmp_path_factory.mktemp("heads")
    save_base(root / "base", "bert", num_labels=6)
    base = load_file(root / "base" / "model.safetensors")
    for seed, name in enumerate(NAMES):
        shutil.copytree(root / "base", root / name)
        generator = torch.Generator().manual_seed(seed)
        moved = {k: t + 0.1 * torch.randn(t.shape, generator=generator) for k, t in base.items()}
        save_file(moved, root / name / "model.safetensors", metadata={"format": "pt"})
    return {name: root / name for name in ("base", *NAMES)}


@pytest.fixture
def states(folders: dict[str, Path]) -> dict[str, State]:
    return {name: load_file(path / "model.safetensors") for name, path in folders.items()}


@pytest.fixture
def pool(folders: dict[str, Path]) -> ExpertPool:
    live = LiveModel.load(
        open_checkpoint(folders["base"]), auto_class="AutoModelForSequenceClassification"
    )
    experts = {name: open_checkpoint(folders[name]) for name in NAMES}
    return ExpertPool(live, experts, heads=KeptHeads(HEAD, ROWS))


@pytest.mark.parametrize("rule", [LINEAR, HALVES, SUMS], ids=lambda rule: rule.name)
@pytest.mark.parametrize("shares", [(0.2, 0.3, 0.5), (0.5, 0.5, 0.0), (1 / 3, 1 / 3, 1 / 3)])
def test_rows_are_those_of_their_experts_whatever_the_rule(
    pool: ExpertPool, states: dict[str, State], rule: MergeRule, shares: Sequence[float]
) -> None:
    pool.merge(Mixture(NAMES, tuple(shares)), rule)
    found = pool.live.module.state_dict()
    for key in HEAD:
        expected = states["base"][key].clone()
        for (name, rows), share in zip(ROWS.items(), shares, strict=True):
            if share:
                expected[list(rows)] = states[name][key][list(rows)]
        assert torch.allclose(found[key], expected, atol=1e-6)


def test_all_other_tensors_are_the_rules(pool: ExpertPool, states: dict[str, State]) -> None:
    shares = (0.2, 0.3, 0.5)
    pool.merge(Mixture(NAMES, shares), LINEAR)
    for key, values in pool.live.module.state_dict().items():
        if key not in HEAD:
            expected = sum(s * states[name][key] for s, name in zip(shares, NAMES, strict=True))
            assert torch.allclose(values, torch.as_tensor(expected), atol=1e-6), key


@pytest.mark.parametrize("rule", [LINEAR, SUMS], ids=lambda rule: rule.name)
def test_of_one_domain_the_whole_head_is_its_experts(
    pool: ExpertPool, states: dict[str, State], rule: MergeRule
) -> None:
    pool.merge(Mixture.single(NAMES, "b"), rule)
    for key in HEAD:
        assert torch.allclose(pool.live.module.state_dict()[key], states["b"][key], atol=1e-6)


def test_nothing_of_an_earlier_merge_remains(pool: ExpertPool, states: dict[str, State]) -> None:
    pool.merge(Mixture(NAMES, (0.2, 0.3, 0.5)), LINEAR)
    pool.merge(Mixture(NAMES, (0.5, 0.5, 0.0)), LINEAR)
    rows = list(ROWS["c"])
    for key in HEAD:
        assert torch.equal(pool.live.module.state_dict()[key][rows], states["base"][key][rows])


@pytest.mark.parametrize("rule", [LINEAR, SUMS], ids=lambda rule: rule.name)
def test_heads_do_not_move_with_the_shares(pool: ExpertPool, rule: MergeRule) -> None:
    tangents = tangents_of(rule, pool.vectors, (0.2, 0.3, 0.5), kept=pool.kept)
    assert set(pool.live.tensors) - {n for n in pool.live.tensors if n in tangents} >= set(HEAD)
    assert "bert.pooler.dense.weight" in tangents


def test_inner_products_are_of_what_is_merged(pool: ExpertPool, states: dict[str, State]) -> None:
    deltas = [
        torch.cat([(s[k] - states["base"][k]).ravel() for k in sorted(s) if k not in HEAD])
        for s in (states[name] for name in NAMES)
    ]
    expected = torch.stack(deltas).double() @ torch.stack(deltas).double().T
    assert torch.allclose(pool.inner_products(), expected, rtol=1e-4)


def test_a_head_that_is_tied_to_what_is_merged_is_refused(pico_base: Path) -> None:
    live = LiveModel.load(open_checkpoint(pico_base))
    tied = [name for name, first in live.aliases.items() if name != first]
    with pytest.raises(CheckpointError, match="is tied to them and merged"):
        KeptHeads((tied[0],), {"a": range(2)}).names(live)
